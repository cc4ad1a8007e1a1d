# SPDX-License-Identifier: Apache-2.0
"""Quotas: every answer that is given can be reached, the rest fails."""

from lab import config

WORLD = {"config": config(quotas="{names: 1000, addresses: 100, "
                                 "addresses_per_name: 16}")}
ALLOW = """
mode: allowlist
dns:
  domains:
    - {allow: good.test, subdomains: true}
"""


def test_over_quota_is_servfail_and_what_was_answered_is_open(site):
    names = [f"n{i}.good.test" for i in range(1000)]
    site.world.upstream.put(records={
        name + ".": {"A": [300, f"192.0.2.{i % 250 + 1}" if i < 250 else
                           f"198.51.100.{i % 250 + 1}"]}
        for i, name in enumerate(names)})
    site.attach(ALLOW + "cidrs: [{allow: 203.0.113.7, ports: [80/tcp]}]\n")
    answers = site.client.many(names=names, server="198.51.100.53")
    given = {answer["addresses"][0] for answer in answers
             if answer["rcode"] == "NOERROR"}
    failed = [answer for answer in answers if answer["rcode"] == "SERVFAIL"]
    assert len(given) == 100
    assert all(answer["rcode"] in ("NOERROR", "SERVFAIL")
               for answer in answers)
    assert failed
    for address in sorted(given):
        assert site.is_open(address)
    # What a rule opens is never displaced.
    assert site.is_open("203.0.113.7")
    shown = site.show()
    assert shown["learnt_addresses"] == 100
    assert int(shown["dns_failed"]) == len(failed)
    assert f"dns-not-learnt id={site.id} reason=quota" in site.world.log()


def test_a_name_with_too_many_addresses_fails_as_a_whole(site):
    site.world.upstream.put(records={"wide.good.test.": {
        "A": [300, *(f"203.0.113.{i}" for i in range(100, 120))]}})
    site.attach(ALLOW)
    assert site.query("wide.good.test")["rcode"] == "SERVFAIL"
    assert not site.is_open("203.0.113.100")
    assert site.learnt() == []
