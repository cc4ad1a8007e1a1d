/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the resolver (controld/dns) needs of the attachments: who asks, what
 * its policy says, and the way of a learnt address into the kernel. */

#include "controld/attach/attach.h"
#include "controld/dns/answer.h"
#include "controld/dns/learnt.h"
#include "controld/dns/rules.h"
#include "controld/dns/settings.h"
#include "controld/link/link.h"

/* Handed out once kernel and policies have been compared, each time again.
 * filter_*: socket filter programs, borrowed for the call (-1: the path does
 * not exist here). */
struct cp_attach_dns_path {
	const struct sn_dns *dns;
	int filter_tc;
	int filter_cgroup;
};
typedef void (*cp_attach_dns_path_fn)(void *userdata,
				      const struct cp_attach_dns_path *path);
/* fn NULL: nobody listens any more. One listener; it is called from the loop,
 * soon if the manager is ready already. */
void cp_attach_dns_watch_path(struct cp_attach *manager,
			      cp_attach_dns_path_fn fn, void *userdata);

/* Borrowed pointers, good until the loop goes on. */
struct cp_attach_dns_view {
	const struct cp_attach_item *item;
	const char *id;
	uint64_t number; /* of its id: no later one of the slot has it */
	enum sn_target_type type;
	enum sn_mode address_mode;
	bool audit;
	enum cp_dns_mode mode; /* the one in force, never NONE */
	bool learns;
	const struct cp_dns_settings *settings;
	const struct cp_dns_rules *rules;
};

/* False: the slot has no attachment, or its port 53 is not steered. */
bool cp_attach_dns_get(struct cp_attach *manager, uint32_t slot,
		       struct cp_attach_dns_view *ret);

/* What the CIDR rules of a policy say of an address that a name has. */
enum cp_attach_dns_say {
	CP_ATTACH_DNS_SAY_NOTHING,
	/* Allowed, on whatever ports, so that it may be answered even if it is
	 * special. In a network that is denied to names these ports are all
	 * that is open: it is not learnt. */
	CP_ATTACH_DNS_SAY_OPENS,
	CP_ATTACH_DNS_SAY_DENIES, /* no name opens it: never answered */
};
enum cp_attach_dns_say cp_attach_dns_judge(const struct cp_attach_item *item,
					   const struct cp_dns_address *address,
					   uint64_t now_ns);

/* Are these addresses learnt under the name, for life_ns from now at least, and
 * open in the kernel? Then nothing need be learnt. */
bool cp_attach_dns_is_learnt(struct cp_attach *manager, uint32_t slot,
			     const struct cp_dns_name *name,
			     const struct cp_dns_address *addresses,
			     size_t n_addresses, uint64_t life_ns);

enum cp_attach_dns_learn_code {
	CP_ATTACH_DNS_LEARN_OK, /* open in the kernel, or need not be */
	/* The rules changed meanwhile, about the name or an address. */
	CP_ATTACH_DNS_LEARN_DENIED,
	CP_ATTACH_DNS_LEARN_QUOTA,
	CP_ATTACH_DNS_LEARN_FULL, /* a kernel table */
	CP_ATTACH_DNS_LEARN_UNAVAILABLE, /* sentinel-dp is away, or it ended */
};
typedef void (*cp_attach_dns_learn_fn)(void *userdata,
				       enum cp_attach_dns_learn_code code);

/* life_ns: from now; entries that live that long already cost nothing. The
 * rules that allow the name are looked up here, at the moment in which the
 * entries are written; by_control_plane: the name was opened by QueryDns
 * (mode PROXY) and needs none. fn is called once, from the loop and never
 * within the call. -ENOMEM, -ENOBUFS. */
struct cp_attach_dns_learn {
	uint32_t slot;
	const struct cp_dns_name *name;
	const struct cp_dns_address *addresses;
	size_t n_addresses;
	uint64_t life_ns;
	bool by_control_plane;
};
int cp_attach_dns_learn(struct cp_attach *manager,
			const struct cp_attach_dns_learn *request,
			cp_attach_dns_learn_fn fn, void *userdata);

/* The n-th name that has opened this address and still lives, of those that are
 * known; with lapsed also those whose time is over, or that CIDR rules keep closed.
 * False: there is none. */
bool cp_attach_dns_get_name(const struct cp_attach_item *item,
			    const struct cp_dns_address *address, size_t n,
			    bool lapsed, struct cp_dns_learnt_row *ret);

/* Queries of an attachment by how they ended; kept with it over restarts of
 * sentinel-cp as far as learnt.pb is. */
enum cp_attach_dns_end {
	CP_ATTACH_DNS_END_ALLOWED,
	CP_ATTACH_DNS_END_BLOCKED, /* by the rules; under audit answered */
	CP_ATTACH_DNS_END_FAILED, /* upstream, quota, learning, malformed */
	CP_ATTACH_DNS_END_COUNT,
};
void cp_attach_dns_count(struct cp_attach *manager, uint32_t slot,
			 enum cp_attach_dns_end end);

/* For controld/attach: tells the listener what has come since. */
void cp_attach_dns_step(struct cp_attach *manager);
/* FDS was answered. */
void cp_attach_dns_put_fds(struct cp_attach *manager,
			   const struct cp_link_answer *answer);

/* Changes of the domain side of a policy; as the calls of attach.h. */
int cp_attach_dns_add_domain(struct cp_attach *manager, const char *id,
			     const struct cp_dns_rule *rule,
			     cp_attach_done done, void *userdata);
/* By name, owner and (if any) ports. result.removed counts. */
int cp_attach_dns_remove_domains(struct cp_attach *manager, const char *id,
				 const struct cp_dns_rule *rule,
				 cp_attach_done done, void *userdata);
int cp_attach_dns_set_mode(struct cp_attach *manager, const char *id,
			   enum cp_dns_mode mode, cp_attach_done done,
			   void *userdata);
/* For ListLearnt; as cp_dns_learnt_next_row(), without those that CIDR rules
 * keep closed. */
bool cp_attach_dns_next_learnt(const struct cp_attach_item *item,
			       const struct cp_dns_learnt_row *after,
			       struct cp_dns_learnt_row *ret);
