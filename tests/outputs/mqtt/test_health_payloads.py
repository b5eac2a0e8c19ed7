import math

import pytest

from monitor.outputs.mqtt.health_payloads import level_payload
from monitor.outputs.payload import as_json


@pytest.mark.parametrize("dbfs", [-math.inf, math.nan])
def test_a_level_that_is_not_finite_is_null(dbfs):
    assert as_json(level_payload(dbfs)) == '{"level_dbfs":null}'


def test_a_level_has_one_decimal():
    assert as_json(level_payload(-41.2345)) == '{"level_dbfs":-41.2}'
