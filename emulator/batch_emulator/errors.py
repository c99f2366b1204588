"""Every error the emulator can answer, as one table: Azure's code, HTTP status, message."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """What Azure Batch says under one code."""

    status: int
    message: str


ERRORS: dict[str, ErrorKind] = {
    "ApplicationNotFound": ErrorKind(404, "The specified application does not exist."),
    "AutoStorageNotConfigured": ErrorKind(409, "The account has no auto storage account."),
    "ActiveJobAndScheduleQuotaReached": ErrorKind(
        409, "The specified account has reached its quota of active jobs and job schedules."
    ),
    "AuthenticationFailed": ErrorKind(
        403,
        "Server failed to authenticate the request. Make sure the value of Authorization header is formed "
        "correctly including the signature.",
    ),
    "AutoScalingFormulaSyntaxError": ErrorKind(400, "The specified autoscale formula has a syntax error."),
    "AutoScalingFormulaTooLong": ErrorKind(400, "The specified autoscale formula exceeds the length limit."),
    "ConditionNotMet": ErrorKind(412, "The condition specified using HTTP conditional header(s) is not met."),
    "FileNotFound": ErrorKind(404, "The specified file does not exist."),
    "IOError": ErrorKind(403, "An I/O error occurred when accessing the specified resource."),
    "InternalError": ErrorKind(500, "Server encountered an internal error. Please try again after some time."),
    "InvalidApplicationPackageReferences": ErrorKind(
        409, "One or more application package references could not be satisfied."
    ),
    "InvalidAuthenticationInfo": ErrorKind(
        401,
        "The authentication information was not provided in the correct format. Verify the value of "
        "Authorization header.",
    ),
    "InvalidHeaderValue": ErrorKind(
        400, "The value provided for one of the HTTP headers was not in the correct format."
    ),
    "InvalidPropertyValue": ErrorKind(
        400, "The value provided for one of the properties in the request body is invalid."
    ),
    "InvalidQueryParameterValue": ErrorKind(
        400, "Value for one of the query parameters specified in the request URI is invalid."
    ),
    "InvalidRange": ErrorKind(416, "The range specified is invalid for the current size of the resource."),
    "InvalidRequestBody": ErrorKind(400, "The specified Request Body is not syntactically valid."),
    "InvalidUri": ErrorKind(400, "The requested URI does not represent any resource on the server."),
    "JobBeingDeleted": ErrorKind(409, "The specified job has been marked for deletion and is being garbage collected."),
    "JobBeingTerminated": ErrorKind(409, "The specified job is being terminated."),
    "JobCompleted": ErrorKind(409, "The specified job is already in a completed state."),
    "JobExists": ErrorKind(409, "The specified job already exists."),
    "JobNotActive": ErrorKind(409, "The specified job is not in active state."),
    "JobPreparationTaskNotSpecified": ErrorKind(409, "The specified job does not have a job preparation task."),
    "JobScheduleBeingDeleted": ErrorKind(409, "The specified job schedule is being deleted."),
    "JobScheduleBeingTerminated": ErrorKind(409, "The specified job schedule is being terminated."),
    "JobScheduleCompleted": ErrorKind(409, "The specified job schedule is already in a completed state."),
    "JobScheduleExists": ErrorKind(409, "The specified job schedule already exists."),
    "JobScheduleNotFound": ErrorKind(404, "The specified job schedule does not exist."),
    "JobScheduleWithSameIdExists": ErrorKind(409, "A job schedule with the specified id exists."),
    "JobWithSameIdExists": ErrorKind(409, "A job with the specified id exists."),
    "JobNotFound": ErrorKind(404, "The specified job does not exist."),
    "MissingRequiredProperty": ErrorKind(400, "A required property was not specified in the request body."),
    "MissingRequiredQueryParameter": ErrorKind(
        400, "A query parameter that's mandatory for this request is not specified."
    ),
    "NodeAlreadyInTargetSchedulingState": ErrorKind(
        409, "The specified node is already in the target scheduling state."
    ),
    "NodeBeingCreated": ErrorKind(409, "The specified node is being created."),
    "NodeBeingRebooted": ErrorKind(409, "The specified node is being rebooted."),
    "NodeBeingReimaged": ErrorKind(409, "The specified node is being reimaged."),
    "NodeBeingStarted": ErrorKind(409, "The specified node is being started."),
    "NodeStateUnusable": ErrorKind(409, "The state of the specified node is unusable."),
    "NodeUserExists": ErrorKind(409, "The specified node user already exists."),
    "NodeUserNotFound": ErrorKind(404, "The specified node user does not exist."),
    "NodeNotFound": ErrorKind(404, "The specified node does not exist."),
    "OperationInvalidForCurrentState": ErrorKind(
        409, "The specified operation is not valid for the current state of the resource."
    ),
    "OperationTimedOut": ErrorKind(500, "The operation could not be completed within the permitted time."),
    "OperationNotValidOnNode": ErrorKind(409, "The specified operation is not valid on the node."),
    "OutOfRangeQueryParameterValue": ErrorKind(
        400, "A query parameter specified in the request URI is outside the permissible range."
    ),
    "PoolBeingDeleted": ErrorKind(409, "The specified pool has been marked for deletion and is being reclaimed."),
    "PoolBeingResized": ErrorKind(409, "The specified pool is being resized."),
    "PoolExists": ErrorKind(409, "The specified pool already exists."),
    "PoolNotFound": ErrorKind(404, "The specified pool does not exist."),
    "PoolQuotaReached": ErrorKind(409, "The specified account has reached its quota of pools."),
    "RequestBodyTooLarge": ErrorKind(413, "The size of the request body exceeds the maximum size permitted."),
    "ResourceNotFound": ErrorKind(404, "The specified resource does not exist."),
    "ServerBusy": ErrorKind(503, "Server is busy. Please retry the operation."),
    "TaskCompleted": ErrorKind(409, "The specified task is already in a completed state."),
    "TaskDependenciesNotSpecifiedOnJob": ErrorKind(
        400, "Task dependencies were specified on the task, but the job does not use task dependencies."
    ),
    "TaskExists": ErrorKind(409, "The specified task already exists."),
    "TaskFilesUnavailable": ErrorKind(409, "The files of the specified task are unavailable."),
    "TaskIdSameAsJobPreparationTask": ErrorKind(409, "The id of the task is that of the job preparation task."),
    "TaskIdSameAsJobReleaseTask": ErrorKind(409, "The id of the task is that of the job release task."),
    "TaskNotCompleted": ErrorKind(
        409, "The specified task is not in a completed state; the operation needs a completed task."
    ),
    "TaskNotFound": ErrorKind(404, "The specified task does not exist."),
    "TaskSucceeded": ErrorKind(
        409, "The specified task has completed successfully; a successful task cannot be reactivated."
    ),
    "TooManyEnableAutoScaleRequests": ErrorKind(
        503, "Too many enable-autoscale requests were made on the pool; they must be 30 seconds apart."
    ),
    "TooManyRequests": ErrorKind(429, "Too many requests were sent to the account. Please retry later."),
    "UnsupportedHttpVerb": ErrorKind(405, "The resource doesn't support the specified HTTP verb."),
    "UnsupportedOperation": ErrorKind(501, "The emulator does not support this operation."),
    "UnsupportedProperty": ErrorKind(
        400, "One of the properties specified in the request body is not supported by the emulator."
    ),
    "UnsupportedQueryParameter": ErrorKind(
        400, "One of the query parameters specified in the request URI is not supported."
    ),
    "UnsupportedRequestVersion": ErrorKind(400, "The specified request version is not supported."),
}


class BatchError(Exception):
    """An answer that is an error: a code of ERRORS, and what exactly was wrong as key-value pairs."""

    def __init__(self, code: str, *values: tuple[str, str], status: int | None = None) -> None:
        self.code = code
        self.kind = ERRORS[code]
        self.status = status or self.kind.status
        self.values = values
        details = "; ".join(f"{key}: {value}" for key, value in values)
        super().__init__(f"{code}: {self.kind.message} {details}".strip())


def property_error(path: str, value: object, reason: str) -> BatchError:
    """A wrong value in the request body: its place, the value and what would be right."""
    return BatchError(
        "InvalidPropertyValue",
        ("PropertyName", path),
        ("PropertyValue", str(value)),
        ("Reason", reason),
    )


def query_error(name: str, value: object, reason: str) -> BatchError:
    """A wrong value of a query parameter: its name, the value and what would be right."""
    return BatchError(
        "InvalidQueryParameterValue",
        ("QueryParameterName", name),
        ("QueryParameterValue", str(value)),
        ("Reason", reason),
    )


def error_fields(error: BatchError, request_id: str, time: str) -> dict[str, object]:
    """The JSON object of one error, without its odata.metadata."""
    fields: dict[str, object] = {
        "code": error.code,
        "message": {"lang": "en-US", "value": f"{error.kind.message}\nRequestId:{request_id}\nTime:{time}"},
    }
    if error.values:
        fields["values"] = [{"key": key, "value": value} for key, value in error.values]
    return fields


def error_body(error: BatchError, account_url: str, request_id: str, time: str) -> bytes:
    """The body of an error answer, as the service writes it."""
    context = f"{account_url}/$metadata#Microsoft.Azure.Batch.Protocol.Entities.Container.errors/@Element"
    return json.dumps({"odata.metadata": context} | error_fields(error, request_id, time)).encode()
