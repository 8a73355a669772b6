"""The predictor on a Vertex AI endpoint: the same `predict`, answered by a deployed model.

What is sent is the body of a `PredictRequest`, {"instances": …, "parameters": …}, as JSON over Google's own
authorised session, as Google's SDK does for its raw predictions: turned into protobuf values first, each number of a
picture would become a message (measured with 784 numbers: 2.5 times the time of a whole call). Where a signature is
named that the instances' keys do not choose, it travels by `rawPredict`, whose body the container gets as it is.

Over protobuf's JSON all numbers are doubles: what the signature calls an integer is given back as one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import requests

from mlhelpers.cloud.access import credentials
from mlhelpers.cloud.place import Place, place
from mlhelpers.cloud.refusals import asking
from mlhelpers.errors import CloudError, DataError, ModelError, PredictionError, UsageError
from mlhelpers.serving.encoding import REQUEST_BYTES, beside_instances, spans, to_json
from mlhelpers.serving.frames import Frame, place_in, predict_frame
from mlhelpers.serving.patience import ask_patiently
from mlhelpers.serving.registry.reading import unknown
from mlhelpers.serving.registry.resources import UnknownModelError, check_name
from mlhelpers.serving.remote import TIMEOUT_S, RemotePredictor, time_limit
from mlhelpers.serving.vertex import answers, lookups
from mlhelpers.serving.vertex.making import ROLE
from mlhelpers.serving.vertex.names import endpoint_number
from mlhelpers.serving.vertex.records import deployed_versions

__all__ = ["VertexPredictor", "connected"]


class VertexPredictor(RemotePredictor):
    """A model behind a Vertex AI endpoint.

    Where the endpoint is busy, or hangs up, it is asked again, within the time limit.

    Taught in notebook 08.
    """

    def __init__(self, endpoint: Any, version: str | None, where: Place, timeout_s: float = TIMEOUT_S) -> None:
        """Open a predictor; `connected` checks first what it is given.

        Args:
            endpoint: An `aiplatform_v1.Endpoint`.
            version: The version that has to answer; None leaves it to the endpoint's traffic split.
            where: The place it is in.
            timeout_s: How long to wait for an answer in all, in seconds.
        """
        from google.auth.transport.requests import AuthorizedSession

        session: requests.Session = AuthorizedSession(  # type: ignore[no-untyped-call]
            credentials(where),
            refresh_status_codes=() if where.is_here else (401,),  # nobody can be refreshed there
        )
        super().__init__(endpoint.display_name, version, session, f"on Vertex AI, {endpoint.name}")
        self.endpoint = endpoint.name
        self._deployed = {one.id: one for one in endpoint.deployed_models}
        self._number = deployed_versions(endpoint).get(version or "", "")
        self._place = where
        self._timeout_s = timeout_s
        host = endpoint.dedicated_endpoint_dns if endpoint.dedicated_endpoint_enabled else where.host
        self._url = f"{where.scheme}://{host or where.host}/v1/{endpoint.name}"
        if where.is_here:
            session.trust_env = False  # a proxy of the environment has no way to this machine's own loopback
        self._signature: dict[str, Any] | None = None
        self._dtypes: dict[str, str] | None = None
        self._answered: dict[str, str] = {}

    @property
    def signature(self) -> dict[str, Any]:
        """What the model takes and gives: the signature.json beside its files in the bucket, read once."""
        if self._signature is None:
            self._signature = answers.read_signature(self._place, self._artifacts())
        return self._signature

    @property
    def answered_by(self) -> dict[str, str]:
        """Who gave the last answer: deployedModelId, model, modelVersionId, modelDisplayName, as far as it was said."""
        return dict(self._answered)

    def predict(
        self, instances: Any, signature_name: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Return one prediction per instance, from one request.

        Args:
            instances: A list of instances: objects with the inputs' names as keys, or bare values (nested lists,
                arrays) where the signature has a single input. An array (n, …) stands for the list of its n parts.
            signature_name: The signature to take; None lets the keys decide, then the default.
            parameters: How the model shall answer, handed on to the container; no model of ours takes any.

        Returns:
            One dict of plain Python values per instance, in their order.

        Raises:
            PredictionError: An instance that the signature does not take, a request that is too long, an endpoint that
                does not answer, or a version that lost its requests to another.
            UnknownModelError: The endpoint is gone.
            ModelError: The model failed, or the predictor is closed.
            CloudError: The service does not know who asks, or refuses it.
        """
        return self._predict(to_json(instances), signature_name, parameters)

    def predict_frame(
        self,
        frame: Frame,
        *,
        signature_name: str | None = None,
        key: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Frame:
        """Predict for each row of a table, in as many requests as it takes; a long one shows how far it is.

        Args:
            frame: A DataFrame of polars or pandas (n rows); its columns are the inputs of the signature.
            signature_name: The signature to take; None lets the columns decide, then the default.
            key: A column that is no input: it is passed through to the result, and not sent. None stands for "key",
                where there is such a column.
            parameters: As for `predict`.

        Returns:
            A DataFrame of the same library, n rows in the same order: the key's column, if any, then one for each
            output; an output of several values is a column of lists. A pandas index is kept.

        Raises:
            UsageError: It is no DataFrame, a column is missing, or one is neither an input nor the key.
            PredictionError: A value that the signature does not take; the message names the row, counted from 0.
            ModelError: The model has no signature.json beside its files, it failed, or the predictor is closed.
            CloudError: The service does not know who asks, or refuses it.
        """
        model = self._model_signature()

        def ask(instances: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
            encoded = [to_json(instance, f"instances[{index}]") for index, instance in enumerate(instances)]
            keys = frozenset(instances[0]) if instances else frozenset()
            said = None if model.choose(None, keys).name == name else name
            limit = REQUEST_BYTES - len(beside_instances(said, parameters)) - 100
            return [
                one
                for start, stop in spans(encoded, limit)
                for one in self._predict_span(encoded, start, stop, said, parameters)
            ]

        return predict_frame(frame, model, ask, signature_name, key)

    def _predict_span(
        self, encoded: Sequence[bytes], start: int, stop: int, name: str | None, parameters: Mapping[str, Any] | None
    ) -> list[dict[str, Any]]:
        try:
            return self._predict(b"[" + b",".join(encoded[start:stop]) + b"]", name, parameters)
        except PredictionError as error:
            raise PredictionError(place_in(str(error), start)) from error

    def _predict(
        self, instances: bytes, signature_name: str | None, parameters: Mapping[str, Any] | None
    ) -> list[dict[str, Any]]:
        body = b'{"instances":' + instances + beside_instances(signature_name, parameters) + b"}"
        if len(body) > REQUEST_BYTES:
            raise PredictionError(
                f"The request has {len(body):,} bytes, and an endpoint takes {REQUEST_BYTES:,}. Send fewer instances "
                "at once, or a table with predict_frame, which shares them out over requests."
            )
        answer = self._send(":predict" if signature_name is None else ":rawPredict", body)
        document, self._answered = answers.read_answer(answer, self.endpoint)
        self._check_version()
        if self._dtypes is None:
            self._dtypes = self._output_dtypes()
        return answers.typed(document["predictions"], self._dtypes)

    def _check_version(self) -> None:
        """Refuse an answer of another version than the one that was asked for."""
        number = self._answered.get("deployedModelId", "")
        if self._number and number and number != self._number:
            raise PredictionError(
                f"{self.model}/{self.version} was asked and {self.model}/{self._name_of(number)} answered: the "
                f"endpoint's traffic was changed. Ask without a version, or give it all requests:  mlhelpers versions "
                f"set-default {self.version} --model {self.model} --backend vertex"
            )

    def _name_of(self, number: str) -> str:
        return self._deployed[number].display_name if number in self._deployed else number

    def _output_dtypes(self) -> dict[str, str]:
        """Return output -> dtype; nothing where the model says none, as with a container of others."""
        try:
            signatures = self._model_signature().signatures.values()
        except (CloudError, DataError, ModelError):
            return {}
        return {name: output.dtype for one in signatures for name, output in one.outputs.items()}

    def _artifacts(self) -> str:
        """Return the gs:// address of the files of the version that answers."""
        deployed = self._deployed.get(self._number) or next(iter(self._deployed.values()))
        return answers.artifacts_of(self._place, deployed)

    def _send(self, method: str, body: bytes) -> requests.Response:
        session = self._opened()
        headers = {"Content-Type": "application/json"}

        def send(seconds: float) -> requests.Response:
            return session.post(self._url + method, data=body, headers=headers, timeout=seconds, allow_redirects=False)

        with asking(f"predict with {self.model!r}", ROLE):
            try:
                return ask_patiently(send, self._timeout_s)
            except requests.Timeout as error:
                raise PredictionError(
                    f"The endpoint of {self.model!r} did not answer within {self._timeout_s:g} s. Send fewer instances "
                    "at once, or wait longer with timeout_s=…"
                ) from error
            except requests.RequestException as error:
                raise PredictionError(
                    f"The endpoint of {self.model!r} cannot be reached at {self._place.host}. Look at your connection "
                    "and try again."
                ) from error


def connected(
    model: str,
    version: str | None,
    *,
    address: str | None = None,
    token: str | None = None,
    timeout_s: float | None = None,
) -> VertexPredictor:
    """Connect to an endpoint of Vertex AI: the backend "vertex" of `serving.connect`.

    Args:
        model: The model's name; or an endpoint's number, full name, or display name.
        version: A version's name, which has to have all of the endpoint's requests: Vertex AI's predict names an
            endpoint, and no version. None leaves it to the traffic split.
        address: For the protocol's sake; the settings say where Vertex AI is.
        token: As `address`; the credentials of Google Cloud are used.
        timeout_s: How long to wait for an answer in all, in seconds; 60 where None.

    Returns:
        The predictor; the endpoint is known to be there, with a model.

    Raises:
        UsageError: An address or token was given, the time limit is no time, a name is malformed, or no project is set.
        UnknownModelError: There is no such endpoint, or nothing is deployed on it, or the version is not.
        ModelError: The version does not have all requests.
        CloudError: The service refused, or did not answer.
    """
    if not (address is None and token is None):
        raise UsageError(
            "address and token belong to a prediction server; Vertex AI's are in the settings. Leave them out, or "
            "write backend='http'."
        )
    seconds = time_limit(timeout_s)
    if version is not None:
        check_name("version", version)
    here = place()
    endpoint = _endpoint(here, model)
    deployed = deployed_versions(endpoint)
    if not deployed:
        raise UnknownModelError(
            f"Nothing is deployed on the endpoint of {model!r}, so nobody would answer. Deploy a version:  "
            f"mlhelpers versions deploy VERSION --model {model} --backend vertex"
        )
    if version is not None:
        if version not in deployed:
            raise unknown(f"{model} version on its endpoint", version, sorted(deployed))
        share = endpoint.traffic_split.get(deployed[version], 0)
        if share != 100:
            raise ModelError(
                f"{model}/{version} has {share} percent of the endpoint's requests, and Vertex AI's predict cannot "
                "name a version. Connect without one, or give it all:  "
                f"mlhelpers versions set-default {version} --model {model} --backend vertex"
            )
    return VertexPredictor(endpoint, version, here, seconds)


def _endpoint(here: Place, model: str) -> Any:
    if (number := endpoint_number(model)) is not None:
        if model.startswith("projects/") and f"/locations/{here.region}/" not in model:
            raise UsageError(
                f"{model!r} is in another region than the one in force, {here.region}. Set it with  "
                "mlhelpers.use(region=…)  or  export MLHELPERS_REGION=…"
            )
        name = model if model.startswith("projects/") else f"{here.parent}/endpoints/{number}"
        found = lookups.get_endpoint(here, name)
        if found is None:
            raise unknown("endpoint", model, [one.name for one in lookups.all_endpoints(here).values()])
        return found
    check_name("model", model)
    return lookups.find_endpoint(here, model) or lookups.endpoint_called(here, model)
