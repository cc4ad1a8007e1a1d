/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A small zone, signed here, and the answers of a resolver that has it. */

#include <ldns/ldns.h>

#include "test/unit/test_upstream_rig.h"

/* How the answers of names in the zone are spoilt. */
enum zone_fault {
	ZONE_FAULT_NONE,
	ZONE_FAULT_FORGED, /* the address is another one */
	ZONE_FAULT_UNSIGNED, /* there are no signatures */
	ZONE_FAULT_UNPROVEN, /* nothing proves that there is no such name */
};

struct zone {
	ldns_dnssec_zone *tree;
	ldns_key_list *keys;
	ldns_rr_list *made; /* by signing */
	char anchor[64]; /* path of the trust anchor's file */
	enum zone_fault fault;
	int n_queries;
};

static inline void zone_write_anchor(struct zone *zone, const ldns_rr *key)
{
	char *text = ldns_rr2str(key);
	int fd;

	(void)strcpy(zone->anchor, "/tmp/sentinel-test-XXXXXX");
	fd = mkstemp(zone->anchor);
	t_true(fd >= 0);
	t_eq(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
	free(text);
}

/* Signed from two days ago for `life_s`. */
static inline void zone_init(struct zone *zone, long life_s)
{
	static const char *const records[] = {
		"example. 300 IN SOA ns.example. root.example. 1 60 60 60 60",
		"example. 300 IN NS ns.example.",
		"www.example. 300 IN A 192.0.2.1",
		"alias.example. 300 IN CNAME www.example.",
	};
	uint32_t begin = (uint32_t)(time(NULL) - 2 * 86400);
	ldns_key *key = ldns_key_new_frm_algorithm(
		(ldns_signing_algorithm)LDNS_ECDSAP256SHA256, 256);
	ldns_rdf *origin = ldns_dname_new_frm_str("example.");
	ldns_rr *key_rr;

	(void)memset(zone, 0, sizeof(*zone));
	zone->tree = ldns_dnssec_zone_new();
	for (size_t i = 0; i < SN_ARRAY_SIZE(records); i++) {
		ldns_rr *rr = NULL;

		t_eq(ldns_rr_new_frm_str(&rr, records[i], 300, NULL, NULL),
		     LDNS_STATUS_OK);
		t_eq(ldns_dnssec_zone_add_rr(zone->tree, rr), LDNS_STATUS_OK);
	}
	t_not_null(key);
	ldns_key_set_pubkey_owner(key, origin);
	ldns_key_set_flags(key, LDNS_KEY_ZONE_KEY | LDNS_KEY_SEP_KEY);
	ldns_key_set_inception(key, begin);
	ldns_key_set_expiration(key, (uint32_t)((long)begin + life_s));
	key_rr = ldns_key2rr(key);
	ldns_key_set_keytag(key, ldns_calc_keytag(key_rr));
	ldns_rr_set_ttl(key_rr, 300);
	zone_write_anchor(zone, key_rr);
	t_eq(ldns_dnssec_zone_add_rr(zone->tree, key_rr), LDNS_STATUS_OK);

	zone->keys = ldns_key_list_new();
	(void)ldns_key_list_push_key(zone->keys, key);
	zone->made = ldns_rr_list_new();
	t_eq(ldns_dnssec_zone_sign(zone->tree, zone->made, zone->keys,
				   ldns_dnssec_default_replace_signatures,
				   NULL),
	     LDNS_STATUS_OK);
}

static inline void zone_done(struct zone *zone)
{
	(void)unlink(zone->anchor);
	ldns_rr_list_free(zone->made);
	ldns_key_list_free(zone->keys);
	ldns_dnssec_zone_deep_free(zone->tree);
}

static inline void zone_put(ldns_pkt *answer, ldns_pkt_section section,
			    const ldns_dnssec_rrs *rrs)
{
	for (; rrs; rrs = rrs->next)
		(void)ldns_pkt_push_rr(answer, section, ldns_rr_clone(rrs->rr));
}

static inline void zone_put_set(const struct zone *zone, ldns_pkt *answer,
				ldns_pkt_section section,
				const ldns_dnssec_rrsets *set)
{
	zone_put(answer, section, set->rrs);
	if (zone->fault != ZONE_FAULT_UNSIGNED ||
	    set->type == LDNS_RR_TYPE_DNSKEY)
		zone_put(answer, section, set->signatures);
}

/* The SOA, and every NSEC that the zone has: the fitting one is among them. */
static inline void zone_deny(const struct zone *zone, ldns_pkt *answer)
{
	ldns_rbnode_t *node;

	zone_put_set(zone, answer, LDNS_SECTION_AUTHORITY,
		     ldns_dnssec_name_find_rrset(zone->tree->soa,
						 LDNS_RR_TYPE_SOA));
	if (zone->fault == ZONE_FAULT_UNPROVEN)
		return;
	for (node = ldns_rbtree_first(zone->tree->names);
	     node != LDNS_RBTREE_NULL; node = ldns_rbtree_next(node)) {
		const ldns_dnssec_name *name = node->data;

		(void)ldns_pkt_push_rr(answer, LDNS_SECTION_AUTHORITY,
				       ldns_rr_clone(name->nsec));
		zone_put(answer, LDNS_SECTION_AUTHORITY, name->nsec_signatures);
	}
}

static inline void zone_forge(ldns_pkt *answer)
{
	ldns_rr_list *rrs = ldns_pkt_answer(answer);

	for (size_t i = 0; i < ldns_rr_list_rr_count(rrs); i++) {
		ldns_rr *rr = ldns_rr_list_rr(rrs, i);

		if (ldns_rr_get_type(rr) == LDNS_RR_TYPE_A)
			ldns_rdf_data(ldns_rr_rdf(rr, 0))[3] ^= 1;
	}
}

static inline void zone_fill(const struct zone *zone, ldns_pkt *answer,
			     const ldns_rdf *name, ldns_rr_type type)
{
	ldns_dnssec_rrsets *set =
		ldns_dnssec_zone_find_rrset(zone->tree, name, type);
	ldns_dnssec_rrsets *alias = ldns_dnssec_zone_find_rrset(
		zone->tree, name, LDNS_RR_TYPE_CNAME);

	if (!set && alias) {
		zone_put_set(zone, answer, LDNS_SECTION_ANSWER, alias);
		name = ldns_rr_rdf(alias->rrs->rr, 0);
		set = ldns_dnssec_zone_find_rrset(zone->tree, name, type);
	}
	if (set)
		zone_put_set(zone, answer, LDNS_SECTION_ANSWER, set);
	else
		zone_deny(zone, answer);
	if (!set && !ldns_rbtree_search(zone->tree->names, name))
		ldns_pkt_set_rcode(answer, LDNS_RCODE_NXDOMAIN);
	if (zone->fault == ZONE_FAULT_FORGED)
		zone_forge(answer);
}

/* Names elsewhere have the address 192.0.2.9 and nothing else. */
static inline void zone_fill_elsewhere(ldns_pkt *answer, const ldns_rdf *name,
				       ldns_rr_type type)
{
	ldns_rr *rr = ldns_rr_new_frm_type(LDNS_RR_TYPE_A);
	ldns_rdf *address = NULL;

	if (type != LDNS_RR_TYPE_A) {
		ldns_rr_free(rr);
		return;
	}
	t_eq(ldns_str2rdf_a(&address, "192.0.2.9"), LDNS_STATUS_OK);
	ldns_rr_set_owner(rr, ldns_rdf_clone(name));
	ldns_rr_set_ttl(rr, 300);
	(void)ldns_rr_set_rdf(rr, address, 0);
	(void)ldns_pkt_push_rr(answer, LDNS_SECTION_ANSWER, rr);
}

/* Answers what has come. Always false, so that it can be part of a condition
 * of which something else is the end. */
static inline bool zone_pump(struct zone *zone, struct server *server)
{
	while (server_try_receive(server)) {
		ldns_pkt *query = NULL, *answer = ldns_pkt_new();
		const ldns_rr *question;
		uint8_t *wire = NULL;
		ldns_rdf *apex, *name;
		size_t size = 0;

		zone->n_queries++;
		t_eq(ldns_wire2pkt(&query, server->in, server->size),
		     LDNS_STATUS_OK);
		question = ldns_rr_list_rr(ldns_pkt_question(query), 0);
		ldns_pkt_set_id(answer, ldns_pkt_id(query));
		ldns_pkt_set_qr(answer, true);
		ldns_pkt_set_rd(answer, true);
		ldns_pkt_set_ra(answer, true);
		ldns_pkt_set_edns_udp_size(answer, 1232);
		ldns_pkt_set_edns_do(answer, true);
		(void)ldns_pkt_push_rr(answer, LDNS_SECTION_QUESTION,
				       ldns_rr_clone(question));
		name = ldns_rdf_clone(ldns_rr_owner(question));
		ldns_dname2canonical(name);
		apex = ldns_dname_new_frm_str("example.");
		if (ldns_dname_compare(name, apex) == 0 ||
		    ldns_dname_is_subdomain(name, apex))
			zone_fill(zone, answer, name,
				  ldns_rr_get_type(question));
		else
			zone_fill_elsewhere(answer, name,
					    ldns_rr_get_type(question));
		t_eq(ldns_pkt2wire(&wire, answer, &size), LDNS_STATUS_OK);
		server_send(server, wire, size);
		free(wire);
		ldns_rdf_deep_free(apex);
		ldns_rdf_deep_free(name);
		ldns_pkt_free(query);
		ldns_pkt_free(answer);
	}
	return false;
}
