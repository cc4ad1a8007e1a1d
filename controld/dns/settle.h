/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How those who wait in a job are answered, for controld/dns/resolve.c: with an
 * answer, which is learnt first if it has to be, or with a failure. The rules
 * are asked once more before each reply. */

#include "controld/dns/flight.h"
#include "controld/dns/task.h"

/* Part of the resolver; the maker fills it. */
struct cp_dns_settle {
	struct cp_dns_task_shared shared;
	struct cp_dns_flight *flight;
	uint32_t n_learning;
	bool is_closing;
	/* The last learning of one that is closing has ended. */
	void (*ended)(struct cp_dns_settle *settle);
};

/* Fills task->view. False: who waits in the job has ended, whoever has its slot
 * now. */
bool cp_dns_settle_identify(struct cp_dns_task *task,
			    const struct cp_dns_flight_job *job);

/* Answers all who wait in a job and drops it; `how` is called for each as long
 * as there is an attachment. */
void cp_dns_settle_each(struct cp_dns_settle *settle,
			struct cp_dns_flight_job *job,
			void (*how)(struct cp_dns_task *task, void *arg),
			void *arg);

/* SERVFAIL for all; what: a counter of shared.stats. */
void cp_dns_settle_failed(struct cp_dns_settle *settle,
			  struct cp_dns_flight_job *job, uint64_t *what,
			  int ede);

/* The answer for all, borrowed. */
void cp_dns_settle_found(struct cp_dns_settle *settle,
			 struct cp_dns_flight_job *job,
			 const struct cp_dns_task_found *found);

/* Must addresses be learnt before they are answered? */
bool cp_dns_settle_must_learn(const struct cp_dns_task *task,
			      const struct cp_dns_task_found *found);
