/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The host as a target: makes sentinel-dp attach it, puts rules into the
 * kernel's tables as a generation, and does so again after each loss of the link
 * or of sentinel-dp. Whatever is in force stays so until the next set is whole.
 * All on the loop's thread. */

#include "controld/link/link.h"
#include "controld/runtime/compile.h"

struct cp_runtime_host;

enum cp_runtime_host_state {
	CP_RUNTIME_HOST_AWAY, /* no link; what is in force stays in force */
	CP_RUNTIME_HOST_UNSUPPORTED, /* sentinel-dp runs without --runtime */
	CP_RUNTIME_HOST_CHANGING,
	CP_RUNTIME_HOST_IN_FORCE,
	/* Refused (cp_runtime_host_error()): the set before stays in force;
	 * tried again after a while, and when another is wanted. */
	CP_RUNTIME_HOST_REFUSED,
};

struct cp_runtime_host_options {
	uv_loop_t *loop;
	void *userdata;
	/* Records from this generation on are judged by the wanted set; comes
	 * before the first of them. May be NULL. */
	void (*staged)(void *userdata, uint32_t generation);
	void (*changed)(void *userdata); /* the state; may be NULL */
};

/* What is wanted, beside the rules. */
struct cp_runtime_host_settings {
	uint32_t flags; /* enum sn_rt_setting */
	uint64_t budget_ns; /* as in struct sn_rt_settings */
	uint64_t burst_ns;
};

int cp_runtime_host_new(struct cp_runtime_host **ret,
			const struct cp_runtime_host_options *options);
/* Nothing is called any more; what is in force stays. */
void cp_runtime_host_close(struct cp_runtime_host *host);

/* link: can be used until cp_runtime_host_down(). */
void cp_runtime_host_up(struct cp_runtime_host *host, struct cp_link *link,
			const struct sn_ipc_hello_answer *hello);
void cp_runtime_host_down(struct cp_runtime_host *host);

/* From now on these rules, of which compiled is made and which is copied;
 * events: what is to be attached, 0: nothing, and the host is detached. -ENOMEM:
 * the set before stays wanted. */
int cp_runtime_host_want(struct cp_runtime_host *host,
			 const struct cp_runtime_compiled *compiled,
			 uint64_t events,
			 const struct cp_runtime_host_settings *settings);

enum cp_runtime_host_state
cp_runtime_host_get_state(const struct cp_runtime_host *host);
/* Why it was refused; "" else. */
const char *cp_runtime_host_error(const struct cp_runtime_host *host);
/* In force; 0: none. */
uint32_t cp_runtime_host_generation(const struct cp_runtime_host *host);
/* That was refused, as long as cp_runtime_host_error() says why; 0: none was. */
uint32_t cp_runtime_host_refused_generation(const struct cp_runtime_host *host);

/* Has the kernel send what it sums; its records come through the ring. */
void cp_runtime_host_flush(struct cp_runtime_host *host);
