# SPDX-License-Identifier: Apache-2.0
"""The kernel tables were made anew under a running sentinel-cp: filters of
before know no mark of today."""

import shutil

from lab import until

ALLOW = """
mode: allowlist
dns:
  domains:
    - {allow: good.test}
"""


def test_listeners_follow_tables_that_are_new(site):
    world = site.world
    world.zone(good={"A": [60, "203.0.113.1"]})
    site.attach(ALLOW)
    assert site.query("good.test")["result"] == "ok"
    world.kill_dp()
    shutil.rmtree(world.bpffs)
    world.start_dp()
    world.wait_connected()
    until(lambda: world.show(site.id)["state"] == "enforced", "is enforced")
    until(lambda: site.query("good.test", timeout_s=1)["result"] == "ok",
          "an answer")
