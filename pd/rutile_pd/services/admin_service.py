"""pdadminpb.PdAdmin: what `rutile ctl` asks for. Reads show this moment; changes are durable when answered."""

from typing import Any

from rutile_kv.env.rpc import RpcContext
from rutile_pd.administration import Administration
from rutile_pd.operators.operator import Operator
from rutile_pd.schedulers import View
from rutile_pd.services import admin_answers
from rutile_pd.services.boundary import answered
from rutile_pd.services.heartbeat_service import HeartbeatService
from rutile_pd.services.reserves import Reserves
from rutile_pd.wishes import MOST_IDS, Wishes
from rutile_proto import pdadminpb_pb2 as pdadminpb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import InvalidRequest


class AdminService(HeartbeatService):
    """Mixed into the PD service."""

    reserves: Reserves

    def _view(self) -> View:
        return self.cluster.conductor.fresh_view(self.now_ms())

    # --- stores ---------------------------------------------------------------------------------------------------

    @answered(pdadminpb.ListStoresResponse)
    async def ListStores(self, request: pdadminpb.ListStoresRequest, context: RpcContext) -> Any:
        await self.all_regions(context)
        return admin_answers.stores(self._view(), request.with_tombstones)

    @answered(pdadminpb.ChangeResponse)
    async def SetStore(self, request: pdadminpb.SetStoreRequest, context: RpcContext) -> Any:
        Administration(self.cluster).set_store(request)
        return pdadminpb.ChangeResponse()

    @answered(pdadminpb.ChangeResponse)
    async def RemoveStore(self, request: pdadminpb.StoreRequest, context: RpcContext) -> Any:
        """Begins the removal; the store is a tombstone once its peers are replaced."""
        self.cluster.remove_store(request.store_id)
        return pdadminpb.ChangeResponse()

    @answered(pdadminpb.ChangeResponse)
    async def CancelRemoval(self, request: pdadminpb.StoreRequest, context: RpcContext) -> Any:
        self.cluster.cancel_removal(request.store_id)
        return pdadminpb.ChangeResponse()

    # --- operators ------------------------------------------------------------------------------------------------

    @answered(pdadminpb.ListOperatorsResponse)
    async def ListOperators(self, request: pdadminpb.ListOperatorsRequest, context: RpcContext) -> Any:
        return admin_answers.operators(self._view(), request.history, request.region_id)

    @answered(pdadminpb.AddOperatorResponse)
    async def AddOperator(self, request: pdadminpb.AddOperatorRequest, context: RpcContext) -> Any:
        """Begins it, and sends its first step at once."""
        await self.all_regions(context)
        wishes = Wishes(self.cluster)

        def begin() -> Operator | None:
            return wishes.begin(request, self.now_ms())

        operator = await self.reserves.with_ids(MOST_IDS, begin)
        if operator is None:
            return pdadminpb.AddOperatorResponse()
        for order in self.cluster.conductor.orders([operator.region_id], self.now_ms()):
            self.send(order)
        return pdadminpb.AddOperatorResponse(operator=admin_answers.operator(operator, pdpb.RUNNING, 0))

    @answered(pdadminpb.ChangeResponse)
    async def CancelOperator(self, request: pdadminpb.CancelOperatorRequest, context: RpcContext) -> Any:
        if not self.cluster.operators.cancel(request.region_id, self.now_ms()):
            raise InvalidRequest(f"nothing is being done to region {request.region_id}")
        return pdadminpb.ChangeResponse()

    # --- schedulers -----------------------------------------------------------------------------------------------

    @answered(pdadminpb.ListSchedulersResponse)
    async def ListSchedulers(self, request: pdadminpb.ListSchedulersRequest, context: RpcContext) -> Any:
        return admin_answers.schedulers(self.cluster.conductor.schedulers, self.now_ms())

    @answered(pdadminpb.ChangeResponse)
    async def ChangeScheduler(self, request: pdadminpb.ChangeSchedulerRequest, context: RpcContext) -> Any:
        Administration(self.cluster).change_scheduler(request, self.now_ms())
        return pdadminpb.ChangeResponse()

    # --- rules and settings ---------------------------------------------------------------------------------------

    @answered(pdadminpb.GetRulesResponse)
    async def GetRules(self, request: pdadminpb.GetRulesRequest, context: RpcContext) -> Any:
        return admin_answers.rules(self._view(), request.key if request.HasField("key") else None)

    @answered(pdadminpb.ChangeResponse)
    async def ChangeRules(self, request: pdadminpb.ChangeRulesRequest, context: RpcContext) -> Any:
        Administration(self.cluster).change_rules(request)
        return pdadminpb.ChangeResponse()

    @answered(pdadminpb.GetSettingsResponse)
    async def GetSettings(self, request: pdadminpb.GetSettingsRequest, context: RpcContext) -> Any:
        return pdadminpb.GetSettingsResponse(settings_json=self.cluster.config.to_json())

    @answered(pdadminpb.ChangeResponse)
    async def SetSetting(self, request: pdadminpb.SetSettingRequest, context: RpcContext) -> Any:
        Administration(self.cluster).set_setting(request.name, request.value_json)
        return pdadminpb.ChangeResponse()

    # --- regions --------------------------------------------------------------------------------------------------

    @answered(pdadminpb.DescribeRegionsResponse)
    async def DescribeRegions(self, request: pdadminpb.DescribeRegionsRequest, context: RpcContext) -> Any:
        return admin_answers.described(self.cluster, request.region_ids, self.now_ms())

    @answered(pdadminpb.CheckRegionsResponse)
    async def CheckRegions(self, request: pdadminpb.CheckRegionsRequest, context: RpcContext) -> Any:
        await self.all_regions(context)
        return admin_answers.troubled(self.cluster, request.trouble, request.limit, self.now_ms())

    @answered(pdadminpb.HotRegionsResponse)
    async def HotRegions(self, request: pdadminpb.HotRegionsRequest, context: RpcContext) -> Any:
        await self.all_regions(context)
        return admin_answers.hot_regions(self._view(), request.flow, request.limit)

    @answered(pdadminpb.RangeStatisticsResponse)
    async def RangeStatistics(self, request: pdadminpb.RangeStatisticsRequest, context: RpcContext) -> Any:
        await self.all_regions(context)
        return admin_answers.range_statistics(self._view(), request.start_key, request.end_key)
