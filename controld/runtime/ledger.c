/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { N_CPUS_MAX = 4096 };

struct cp_runtime_ledger {
	const struct sn_rt_count *counts; /* NULL: nothing is mapped */
	size_t n_bytes;
	uint32_t n_cpus;
	struct cp_runtime_ledger_counts last; /* as the mapping had them */
	struct cp_runtime_ledger_counts total;
};

int cp_runtime_ledger_new(struct cp_runtime_ledger **ret)
{
	struct cp_runtime_ledger *ledger = calloc(1, sizeof(*ledger));

	if (!ledger)
		return -ENOMEM;
	*ret = ledger;
	return 0;
}

static void unmap(struct cp_runtime_ledger *ledger)
{
	if (ledger->counts)
		(void)munmap((void *)(uintptr_t)ledger->counts,
			     ledger->n_bytes);
	ledger->counts = NULL;
}

struct cp_runtime_ledger *
cp_runtime_ledger_free(struct cp_runtime_ledger *ledger)
{
	if (ledger)
		unmap(ledger);
	free(ledger);
	return NULL;
}

int cp_runtime_ledger_open(struct cp_runtime_ledger *ledger, int fd,
			   uint32_t n_cpus)
{
	size_t n_bytes =
		(size_t)SN_RT_EVENT_SLOTS * n_cpus * sizeof(struct sn_rt_count);
	void *at;

	if (n_cpus == 0 || n_cpus > N_CPUS_MAX)
		return -EPROTO;
	at = mmap(NULL, n_bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	unmap(ledger);
	ledger->counts = at;
	ledger->n_bytes = n_bytes;
	ledger->n_cpus = n_cpus;
	return 0;
}

static uint64_t load(const __u64 *at)
{
	return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static void sum(const struct cp_runtime_ledger *ledger, size_t event,
		struct sn_rt_count *ret)
{
	const struct sn_rt_count *row = ledger->counts + event * ledger->n_cpus;

	for (uint32_t i = 0; i < ledger->n_cpus; i++) {
		ret->generated += load(&row[i].generated);
		ret->sent += load(&row[i].sent);
		ret->over_budget += load(&row[i].over_budget);
		ret->ring_full += load(&row[i].ring_full);
		ret->failed += load(&row[i].failed);
		ret->summed += load(&row[i].summed);
	}
}

/* Another table begins at 0. */
static void subtract(struct sn_rt_count *from, const struct sn_rt_count *last)
{
	if (from->generated < last->generated || from->summed < last->summed)
		return;
	from->generated -= last->generated;
	from->sent -= last->sent;
	from->over_budget -= last->over_budget;
	from->ring_full -= last->ring_full;
	from->failed -= last->failed;
	from->summed -= last->summed;
}

static void add(struct sn_rt_count *to, const struct sn_rt_count *added)
{
	to->generated += added->generated;
	to->sent += added->sent;
	to->over_budget += added->over_budget;
	to->ring_full += added->ring_full;
	to->failed += added->failed;
	to->summed += added->summed;
}

void cp_runtime_ledger_read(struct cp_runtime_ledger *ledger,
			    struct cp_runtime_ledger_counts *added)
{
	(void)memset(added, 0, sizeof(*added));
	for (size_t i = 0; ledger->counts && i < SN_RT_EVENT_SLOTS; i++) {
		struct sn_rt_count now = { .generated = 0 };

		sum(ledger, i, &now);
		added->of[i] = now;
		subtract(&added->of[i], &ledger->last.of[i]);
		ledger->last.of[i] = now;
		add(&ledger->total.of[i], &added->of[i]);
	}
}

void cp_runtime_ledger_get(const struct cp_runtime_ledger *ledger,
			   struct cp_runtime_ledger_counts *ret)
{
	*ret = ledger->total;
	for (size_t i = 0; ledger->counts && i < SN_RT_EVENT_SLOTS; i++) {
		struct sn_rt_count now = { .generated = 0 };

		sum(ledger, i, &now);
		subtract(&now, &ledger->last.of[i]);
		add(&ret->of[i], &now);
	}
}
