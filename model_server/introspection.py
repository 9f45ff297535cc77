"""What gRPC and REST report about a model: the signatures of a version and the states of all versions."""

from __future__ import annotations

from google.protobuf.any_pb2 import Any as PackedAny
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from model_server.errors import invalid_argument
from model_server.versions import Versions

SIGNATURE_FIELD = "signature_def"


def model_metadata(
    versions: Versions, request: get_model_metadata_pb2.GetModelMetadataRequest
) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """The signatures of a version, packed as the real server packs them. Raises StatusError."""
    if not request.metadata_field:
        raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
    for field in request.metadata_field:
        if field != SIGNATURE_FIELD:
            raise invalid_argument(f"Metadata field {field} is not supported")
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    with versions.lease(request.model_spec) as (version, servable):
        for key, signature in servable.signatures.items():
            signatures.signature_def[key].CopyFrom(signature)
        response.model_spec.name = version.model
        response.model_spec.version.value = version.number
    packed = PackedAny()
    packed.Pack(signatures)
    response.metadata[SIGNATURE_FIELD].CopyFrom(packed)
    return response


def model_status(
    versions: Versions, request: get_model_status_pb2.GetModelStatusRequest
) -> get_model_status_pb2.GetModelStatusResponse:
    """The states of the versions of a model, newest first. A label is not looked at, as in the real server."""
    spec = request.model_spec
    number = spec.version.value if spec.HasField("version") else None
    response = get_model_status_pb2.GetModelStatusResponse()
    for version, state, error in versions.status(spec.name, number):
        status = response.model_version_status.add(version=version, state=int(state))
        status.status.error_code = error.code.value[0] if error else 0
        status.status.error_message = error.message if error else ""
    return response
