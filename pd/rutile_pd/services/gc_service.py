"""How far garbage collection may go: safe points and those who hold them back."""

from typing import Any

from rutile_kv.env.clock import Clock
from rutile_kv.env.rpc import RpcContext
from rutile_pd.allocation.safe_points import SafePoints
from rutile_pd.consensus.storage import PdStorage
from rutile_pd.services import answers
from rutile_pd.services.boundary import answered
from rutile_proto import pdpb_pb2 as pdpb


class GcService:
    """Mixed into the PD service; needs `safe_points`, `storage` and `clock`."""

    safe_points: SafePoints
    storage: PdStorage
    clock: Clock

    @answered(pdpb.GetGCSafePointResponse)
    async def GetGCSafePoint(self, request: pdpb.GetGCSafePointRequest, context: RpcContext) -> Any:
        return pdpb.GetGCSafePointResponse(safe_point=self.safe_points.safe_point)

    @answered(pdpb.UpdateGCSafePointResponse)
    async def UpdateGCSafePoint(self, request: pdpb.UpdateGCSafePointRequest, context: RpcContext) -> Any:
        safe_point = self.safe_points.advance(request.safe_point)
        self.storage.save_safe_point(safe_point)
        return pdpb.UpdateGCSafePointResponse(new_safe_point=safe_point)

    @answered(pdpb.UpdateServiceGCSafePointResponse)
    async def UpdateServiceGCSafePoint(self, request: pdpb.UpdateServiceGCSafePointRequest, context: RpcContext) -> Any:
        wall_s = self.clock.wall_ms() // 1000
        for service_id in self.safe_points.expire(wall_s):
            self.storage.delete_service(service_id)
        if request.TTL > 0:
            claim = self.safe_points.claim(request.service_id, request.TTL, request.safe_point, wall_s)
            if claim is not None:
                self.storage.save_service(claim)
        elif self.safe_points.release(request.service_id):
            self.storage.delete_service(request.service_id)
        return answers.service_safe_point(self.safe_points, wall_s)

    @answered(pdpb.GetGCStateResponse)
    async def GetGCState(self, request: pdpb.GetGCStateRequest, context: RpcContext) -> pdpb.GetGCStateResponse:
        return answers.gc_state(self.safe_points.safe_point)
