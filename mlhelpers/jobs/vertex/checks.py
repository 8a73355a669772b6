"""Before money is spent: is there a bucket for the code, where the job runs; and what will run, and what it costs."""

from __future__ import annotations

from mlhelpers.cloud.place import Place
from mlhelpers.cloud.prices import TIERS_2019, Prices, prices
from mlhelpers.errors import UsageError
from mlhelpers.jobs.base import Bill, Plan
from mlhelpers.jobs.spec import MAX_RUNNING_S
from mlhelpers.jobs.vertex.machines import POOLS, Machine, machines_of
from mlhelpers.jobs.vertex.request import NO_BUCKET

__all__ = ["bill_of", "check_bucket"]

_UNKNOWN = "unknown"


def check_bucket(bucket: str, place: Place) -> None:
    """Refuse a staging bucket that is not there, or does not lie where the job runs.

    Args:
        bucket: Its bare name.
        place: Where the job runs.

    Raises:
        UsageError: There is none, it is no regional one, or it lies in another region.
        CloudError: Cloud Storage refused to tell.
    """
    if bucket == NO_BUCKET:
        raise UsageError(
            "The job's code needs a bucket, and none is set. Make one in the job's region and name it:  mlhelpers "
            f"storage mb gs://my-bucket --location {place.region} --backend vertex;  then --staging-bucket "
            "gs://my-bucket or export MLHELPERS_BUCKET=my-bucket"
        )
    from mlhelpers.storage.cloud import bucket_facts

    facts = bucket_facts(bucket, place)
    if str(facts.location_type).lower() != "region":
        raise UsageError(
            f"The bucket gs://{bucket} is spread over {facts.location} ({facts.location_type}), and a job wants a "
            f"regional one:  mlhelpers storage mb gs://OTHER --location {place.region} --backend vertex"
        )
    if str(facts.location).lower() != place.region:
        raise UsageError(
            f"The bucket gs://{bucket} lies in {str(facts.location).lower()}, and the job would run in {place.region}. "
            f"Take a bucket there, or run the job where the bucket is: --region {str(facts.location).lower()}"
        )


def bill_of(plan: Plan, region: str, expected_s: float | None = None) -> Bill:
    """Return what a plan would run and what that costs, as far as it is known.

    Args:
        plan: A plan for Vertex AI.
        region: Where it runs.
        expected_s: How long it is expected to run, seconds; where None, only its limit is told.

    Raises:
        DataError: The price file cannot be read.
        UsageError: Something in the price file is not as it should be.
    """
    known = prices()
    machines = [(role, one) for role, one in zip(POOLS, machines_of(plan.spec), strict=False) if one is not None]
    hourly = [_hourly(one, region, known) for _, one in machines]
    rows = tuple(
        {
            "pool": role,
            "machine": one.machine_type,
            "count": str(one.count),
            "accelerators": f"{one.accelerator_count} {one.accelerator_type}" if one.accelerator_type else "-",
            "per_hour": _UNKNOWN if price is None or known is None else f"{price * one.count:,.2f} {known.currency}",
        }
        for (role, one), price in zip(machines, hourly, strict=True)
    )
    total = None if None in hourly else sum(p * one.count for p, (_, one) in zip(hourly, machines, strict=True) if p)
    lines = [*_sums(plan, known, total, expected_s), *_reasons(known, region, hourly), *_tier(plan)]
    return Bill(rows, tuple(lines))


def _hourly(machine: Machine, region: str, known: Prices | None) -> float | None:
    if known is None:
        return None
    return known.per_hour(region, machine.machine_type, machine.accelerator_type, machine.accelerator_count)


def _sums(plan: Plan, known: Prices | None, total: float | None, expected_s: float | None) -> list[str]:
    limit = plan.spec.max_running_s or MAX_RUNNING_S
    ends = f"The job is ended after {_hours(limit)} at the latest"
    if known is None or total is None:
        expected = f" It is expected to run for {_hours(expected_s)}." if expected_s else ""
        return [f"What it costs is not known.{expected} {ends}."]
    money = known.currency
    lines = [f"Together {total:,.2f} {money} per hour, by the prices of {known.day} for {known.region}."]
    if expected_s:
        sum_expected = f"{total * expected_s / 3600:,.2f} {money}"
        lines.append(f"For the {_hours(expected_s)} that it is expected to run: {sum_expected}.")
    lines.append(f"{ends}, that is for {total * limit / 3600:,.2f} {money}.")
    if plan.request.get("jobSpec", {}).get("scheduling", {}).get("strategy") == "SPOT":
        lines.append("Spot machines cost less than others: these are the file's prices, whichever they are.")
    return lines


def _reasons(known: Prices | None, region: str, hourly: list[float | None]) -> list[str]:
    if known is None:
        return [
            "Prices come from a file of yours: export MLHELPERS_PRICES=prices.yaml (its form: pydoc "
            "mlhelpers.cloud.prices), the figures from https://cloud.google.com/vertex-ai/pricing"
        ]
    if known.region != region:
        return [f"The price file is for {known.region}, and the job runs in {region}."]
    return ["The price file has no price for every machine here."] if None in hourly else []


def _tier(plan: Plan) -> list[str]:
    tier = plan.spec.scale_tier
    if tier not in TIERS_2019:
        return []
    price = f"{TIERS_2019[tier]:.2f} USD per hour"
    return [f"In 2019 the tier {tier} cost {price} in the Americas, on the machines of then."]


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:g} h" if seconds >= 3600 else f"{seconds / 60:.3g} min"
