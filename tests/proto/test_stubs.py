"""The committed stubs are those of the committed .proto files, checked without a compiler: by digest and by field.

The second check reads the .proto text with a small parser and compares it with the descriptors inside the stubs, so a
stub edited by hand, or a digest updated without generating, is caught too.
"""

import hashlib
import importlib
import re
from pathlib import Path

import pytest
from google.protobuf import descriptor as d

import rutile_proto

FOLDER = Path(rutile_proto.__path__[0])
SOURCES = sorted(FOLDER.glob("*.proto"))
SCALARS = {
    getattr(d.FieldDescriptor, f"TYPE_{name.upper()}"): name
    for name in ("bool", "bytes", "double", "int32", "int64", "sint64", "string", "uint32", "uint64")
}
TOKEN = re.compile(r'//[^\n]*|"[^"]*"|[\w.]+|[{}()=;<>,]')


def tokens(path):
    return [token for token in TOKEN.findall(path.read_text()) if not token.startswith("//")]


def parse(path):
    """(messages, enums, methods) of a .proto file: name to set of facts."""
    found = ({}, {}, {})
    _block(iter(tokens(path)), "", found)
    return found


def _statement(stream):
    """Tokens up to `;` or an opening or closing brace, and which of these ended it."""
    words = []
    for token in stream:
        if token in ";{}":
            return words, token
        words.append(token)
    return words, ""


def _block(stream, scope, found):
    messages, enums, methods = found
    while True:
        words, end = _statement(stream)
        if end in ("}", "") and not words:
            return
        match words:
            case ["message", name]:
                messages[scope + name] = set()
                _block(stream, f"{scope}{name}.", found)
            case ["enum", name]:
                enums[scope + name] = _enum(stream)
            case ["oneof", _]:
                _block(stream, scope, found)
            case ["service", name]:
                methods[name] = _service(stream)
            case ["syntax" | "package" | "import" | "reserved", *_]:
                continue
            case [*type_, name, "=", number]:
                messages[scope[:-1]].add((name, int(number), "".join(type_)))


def _enum(stream):
    values = set()
    while (statement := _statement(stream))[1] != "}":
        name, _, number = statement[0]
        values.add((name, int(number)))
    return values


def _service(stream):
    methods = set()
    while (statement := _statement(stream))[1] != "}":
        text = " ".join(statement[0])
        methods.add(re.fullmatch(r"rpc (\w+) \( (stream )?([\w.]+) \) returns \( (stream )?([\w.]+) \)", text).groups())
    return methods


def described(file):
    """The same facts from a stub's descriptor."""
    messages, enums = {}, {}

    def walk(message, scope):
        messages[scope + message.name] = {_field(field) for field in message.fields}
        for enum in message.enum_types:
            enums[f"{scope}{message.name}.{enum.name}"] = {(value.name, value.number) for value in enum.values}
        for nested in message.nested_types:
            if not nested.GetOptions().map_entry:
                walk(nested, f"{scope}{message.name}.")

    for message in file.message_types_by_name.values():
        walk(message, "")
    for enum in file.enum_types_by_name.values():
        enums[enum.name] = {(value.name, value.number) for value in enum.values}
    return messages, enums


def _type(field):
    return SCALARS.get(field.type) or (field.message_type or field.enum_type).full_name


def _field(field):
    is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
    if is_map:
        key, value = field.message_type.fields
        return field.name, field.number, f"map<{_type(key)},{_type(value)}>"
    is_optional = field.containing_oneof is not None and field.containing_oneof.name == f"_{field.name}"
    label = "repeated" if field.is_repeated else "optional" if is_optional else ""
    return field.name, field.number, label + _type(field)


def qualified(facts, package, known):
    """Type names as descriptors give them: with their package and enclosing message."""

    def name(word, scope):
        for candidate in (f"{package}.{scope}.{word}", f"{package}.{word}"):
            if candidate in known:
                return candidate
        return word

    def type_(text, scope):
        if text.startswith("map<"):
            key, value = text[4:-1].split(",")
            return f"map<{key},{name(value, scope)}>"
        label = next((label for label in ("repeated", "optional") if text.startswith(label)), "")
        return label + name(text.removeprefix(label), scope)

    return {
        scope: {(field, number, type_(text, scope)) for field, number, text in fields}
        for scope, fields in facts.items()
    }


def module(path):
    return importlib.import_module(f"rutile_proto.{path.stem}_pb2")


def test_the_digest_is_that_of_the_sources():
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in SOURCES]
    assert (FOLDER / "stubs.sha256").read_text() == "".join(lines), "run `make proto`"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_the_stub_says_what_the_source_says(path):
    messages, enums, _ = parse(path)
    stub_messages, stub_enums = described(module(path).DESCRIPTOR)
    known = {f"{path.stem}.{name}" for name in (*messages, *enums)}
    assert qualified(messages, path.stem, known) == stub_messages
    assert enums == stub_enums


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_services_are_in_the_stub(path):
    _, _, services = parse(path)
    described_services = module(path).DESCRIPTOR.services_by_name
    assert set(services) == set(described_services)
    for name, methods in services.items():
        assert {
            (
                method.name,
                "stream " if method.client_streaming else None,
                method.input_type.full_name.removeprefix(f"{path.stem}."),
                "stream " if method.server_streaming else None,
                method.output_type.full_name.removeprefix(f"{path.stem}."),
            )
            for method in described_services[name].methods
        } == methods
        grpc_module = importlib.import_module(f"rutile_proto.{path.stem}_pb2_grpc")
        assert all(hasattr(getattr(grpc_module, f"{name}Servicer"), method[0]) for method in methods)


def test_batch_commands_answer_under_the_number_they_were_asked():
    tikvpb = importlib.import_module("rutile_proto.tikvpb_pb2")
    request, response = tikvpb.BatchCommandsRequest.Request, tikvpb.BatchCommandsResponse.Response
    assert {(f.name, f.number) for f in request.DESCRIPTOR.fields} == {
        (f.name, f.number) for f in response.DESCRIPTOR.fields
    }
    assert request.DESCRIPTOR.fields_by_name["Empty"].number == 255
