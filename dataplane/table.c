/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/table.h"

#include <bpf/bpf.h>
#include <string.h>
#include <time.h>

#include "shared/util.h"

enum {
	KEY_BYTES_MAX = 48,
	VALUE_BYTES_MAX = 160,
	CURSOR_KEY = 1, /* behind the byte that says that the walk has begun */
};

/* Shared by every call: there is one thread, and this is too much for its
 * stack. */
static struct {
	_Alignas(8) uint8_t keys[DP_TABLE_STEP * KEY_BYTES_MAX];
	_Alignas(8) uint8_t values[DP_TABLE_STEP * VALUE_BYTES_MAX];
} batch;

#define SN_TABLE(id, map, key, value, shape, capacity, writer, seal)  \
	_Static_assert((int)SN_TABLE_WRITER_##writer >=               \
				       (int)SN_TABLE_WRITER_FROZEN || \
			       (sizeof(key) <= KEY_BYTES_MAX &&       \
				sizeof(value) <= VALUE_BYTES_MAX),    \
		       "entry outgrew the batch");
#define SN_CHECK(table, checker, part, field, a, b)
#include "shared/tables.def"
#undef SN_TABLE
#undef SN_CHECK
_Static_assert(CURSOR_KEY + KEY_BYTES_MAX <= SN_IPC_CURSOR_BYTES, "cursor");

/* Keys of tables that the programs write begin with the slot. */
_Static_assert(offsetof(struct sn_flow_key, slot) == 0, "slot first");
_Static_assert(offsetof(struct sn_fragment_key, slot) == 0, "slot first");
_Static_assert(offsetof(struct sn_dns_nat_key, slot) == 0, "slot first");
_Static_assert(offsetof(struct sn_rt_sum_key, slot) == 0, "slot first");
_Static_assert(offsetof(struct sn_rt_subject, slot) == 0, "slot first");

bool dp_table_is_open(const struct dp_object *object, enum sn_table table)
{
	const struct sn_table_info *info = &sn_tables_info[table];

	if (object->maps[table] < 0)
		return false;
	return info->writer == SN_TABLE_WRITER_CP ||
	       info->writer == SN_TABLE_WRITER_BPF;
}

bool dp_table_has_flush(const struct dp_object *object, enum sn_table table)
{
	return table == SN_TABLE_RT_SUMS &&
	       object->programs[SN_PROGRAM_RT_FLUSH] >= 0;
}

int dp_table_flush(const struct dp_object *object)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	int program = object->programs[SN_PROGRAM_RT_FLUSH];

	return bpf_prog_test_run_opts(program, &opts) < 0 ? sn_trace(-errno) :
							    0;
}

static int find_offset(enum sn_table table, enum sn_check_kind kind)
{
	for (size_t i = 0; i < sn_tables_n_checks; i++) {
		const struct sn_check *check = &sn_tables_checks[i];

		if (check->table == table && check->kind == kind &&
		    !check->in_value)
			return (int)check->offset;
	}
	return DP_TABLE_NOWHERE;
}

int dp_table_get_slot_offset(enum sn_table table)
{
	if (sn_tables_info[table].writer == SN_TABLE_WRITER_BPF)
		return 0;
	return find_offset(table, SN_CHECK_SLOT);
}

int dp_table_get_generation_offset(enum sn_table table)
{
	return find_offset(table, SN_CHECK_GENERATION);
}

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * SN_NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t dp_table_get_now(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

/* By which flows age. */
static uint64_t get_flows_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

/* Sealed tables have this value. */
static void seal(const void *key, uint8_t *at, uint64_t now)
{
	static uint32_t seq;
	struct sn_rule_value value;
	uint64_t words[4];

	(void)memcpy(words, key, sizeof(words));
	(void)memcpy(&value, at, sizeof(value));
	if (!seq)
		seq = (uint32_t)(now >> 10);
	seq++;
	value.tag = sn_seal_tag(words);
	value.used = now;
	value.seq = seq;
	*sn_rule_end(&value, SN_MIN(value.n_items, SN_ITEMS_MAX)) =
		value.tag + seq;
	(void)memcpy(at, &value, sizeof(value));
}

enum {
	IS_PLAIN,
	IS_SEALED,
};
#define SN_TABLE(id, map, key, value, shape, capacity, writer, seal)          \
	_Static_assert(!IS_##seal ||                                          \
			       sizeof(value) == sizeof(struct sn_rule_value), \
		       "sealed value");
#define SN_CHECK(table, checker, part, field, a, b)
#include "shared/tables.def"
#undef SN_TABLE
#undef SN_CHECK
_Static_assert(sizeof(struct sn_rule_key) == 32 &&
		       sizeof(struct sn_prefix_key) == 32,
	       "sealed keys");

int dp_table_put(const struct dp_object *object, enum sn_table table,
		 const uint8_t *rows, size_t n_rows, uint32_t *applied)
{
	const struct sn_table_info *info = &sn_tables_info[table];
	size_t stride = info->key_bytes + info->value_bytes;
	uint64_t now = get_flows_now();
	uint32_t n = (uint32_t)n_rows;
	LIBBPF_OPTS(bpf_map_batch_opts, opts);

	*applied = 0;
	if (!n_rows)
		return 0;
	if (n_rows > DP_TABLE_STEP)
		return -EINVAL;
	for (size_t i = 0; i < n_rows; i++) {
		const uint8_t *row = rows + i * stride;
		uint8_t *value = batch.values + i * info->value_bytes;

		(void)memcpy(batch.keys + i * info->key_bytes, row,
			     info->key_bytes);
		(void)memcpy(value, row + info->key_bytes, info->value_bytes);
		if (info->sealed)
			seal(row, value, now);
	}
	if (bpf_map_update_batch(object->maps[table], batch.keys, batch.values,
				 &n, &opts) < 0) {
		int r = errno == E2BIG ? -ENOSPC : -errno;

		*applied = SN_MIN(n, (uint32_t)n_rows);
		return r;
	}
	*applied = n;
	return 0;
}

static bool is_unused(const uint8_t *at, uint64_t now)
{
	const uint64_t rest_ns =
		SN_REJUDGE_NS + (uint64_t)SN_IDLE_MAX_S * SN_NS_PER_S;
	struct sn_rule_value value;

	(void)memcpy(&value, at, sizeof(value));
	for (size_t i = 0; i < SN_MIN(value.n_items, SN_ITEMS_MAX); i++) {
		uint64_t expires = value.items[i].expires;

		if (!expires || expires << SN_EXPIRES_SHIFT > now)
			return false;
	}
	return value.used + rest_ns <= get_flows_now();
}

static int delete_one(int map, const uint8_t *key, bool unused, uint64_t now,
		      uint8_t *deleted)
{
	if (unused) {
		if (bpf_map_lookup_elem(map, key, batch.values) < 0) {
			*deleted = SN_IPC_DELETED_ABSENT;
			return errno == ENOENT ? 0 : -errno;
		}
		if (!is_unused(batch.values, now)) {
			*deleted = SN_IPC_DELETED_IN_USE;
			return 0;
		}
	}
	*deleted = SN_IPC_DELETED_GONE;
	if (bpf_map_delete_elem(map, key) < 0) {
		*deleted = SN_IPC_DELETED_ABSENT;
		return errno == ENOENT ? 0 : -errno;
	}
	return 0;
}

int dp_table_delete(const struct dp_object *object, enum sn_table table,
		    const uint8_t *keys, size_t n_keys, bool unused,
		    uint8_t *deleted)
{
	uint64_t now = dp_table_get_now();
	int r = 0;

	if (unused && !sn_tables_info[table].sealed)
		return -EINVAL;
	for (size_t i = 0; r >= 0 && i < n_keys; i++)
		r = delete_one(object->maps[table],
			       keys + i * sn_tables_info[table].key_bytes,
			       unused, now, &deleted[i]);
	return r < 0 ? sn_trace(r) : 0;
}

int dp_table_get(const struct dp_object *object, enum sn_table table,
		 const uint8_t *keys, size_t n_keys, uint8_t *rows,
		 uint32_t *n_found)
{
	const struct sn_table_info *info = &sn_tables_info[table];
	size_t stride = info->key_bytes + info->value_bytes;

	*n_found = 0;
	for (size_t i = 0; i < n_keys; i++) {
		const uint8_t *key = keys + i * info->key_bytes;
		uint8_t *row = rows + *n_found * stride;

		if (bpf_map_lookup_elem(object->maps[table], key,
					row + info->key_bytes) < 0) {
			if (errno == ENOENT)
				continue;
			return sn_trace(-errno);
		}
		(void)memcpy(row, key, info->key_bytes);
		(*n_found)++;
	}
	return 0;
}

static uint32_t get_u32(const void *key, int offset)
{
	uint32_t number;

	(void)memcpy(&number, (const uint8_t *)key + offset, sizeof(number));
	return number;
}

bool dp_table_is_of(enum sn_table table, const void *key, uint32_t slot,
		    uint32_t generation)
{
	int offset = dp_table_get_slot_offset(table);

	if (slot && (offset < 0 || get_u32(key, offset) != slot))
		return false;
	offset = dp_table_get_generation_offset(table);
	return !generation || offset < 0 || get_u32(key, offset) == generation;
}

static bool is_idle_flow(const void *key, const void *value, bool answered)
{
	struct sn_flow_key flow_key;
	struct sn_flow flow;

	(void)memcpy(&flow_key, key, sizeof(flow_key));
	(void)memcpy(&flow, value, sizeof(flow));
	return flow.last_seen +
		       sn_flow_idle_s(flow_key.protocol, answered, flow.flags) *
			       SN_NS_PER_S <=
	       get_flows_now();
}

bool dp_table_is_idle(enum sn_table table, const void *key, const void *value,
		      uint64_t now)
{
	struct sn_fragment fragment;
	uint64_t reported;

	if (table == SN_TABLE_FLOWS || table == SN_TABLE_FLOWS_NEW)
		return is_idle_flow(key, value, table == SN_TABLE_FLOWS);
	if (table == SN_TABLE_FRAGMENTS) {
		(void)memcpy(&fragment, value, sizeof(fragment));
		return fragment.expires <= now;
	}
	if (table == SN_TABLE_DENIED) {
		(void)memcpy(&reported, value, sizeof(reported));
		return reported + SN_EVENT_REPEAT_NS <= now;
	}
	return false;
}

/* A batch of a hash goes on from a bucket's number, a trie's from a key, which
 * must still be there then: the last one that stayed. */
static int read_batch(int map, uint8_t *cursor, uint32_t *n, bool *done)
{
	uint8_t next[SN_IPC_CURSOR_BYTES] = { 0 };
	LIBBPF_OPTS(bpf_map_batch_opts, opts);

	if (bpf_map_lookup_batch(map, cursor[0] ? cursor + CURSOR_KEY : NULL,
				 next, batch.keys, batch.values, n,
				 &opts) < 0) {
		if (errno != ENOENT)
			return sn_trace(-errno);
		*done = true;
	}
	(void)memcpy(cursor + CURSOR_KEY, next,
		     SN_IPC_CURSOR_BYTES - CURSOR_KEY);
	return 0;
}

/* Returns 1 if the key is gone, and this call did it. */
static int delete_key(const struct dp_object *object, struct dp_slots *slots,
		      enum sn_table table, const uint8_t *key)
{
	if (bpf_map_delete_elem(object->maps[table], key) < 0)
		return errno == ENOENT ? 0 : sn_trace(-errno);
	if (table == SN_TABLE_FLOWS)
		dp_slots_flow_gone(slots, get_u32(key, 0));
	return 1;
}

int dp_table_step(const struct dp_object *object, struct dp_slots *slots,
		  enum sn_table table, uint8_t cursor[SN_IPC_CURSOR_BYTES],
		  uint32_t n_most, dp_table_judge judge, void *arg,
		  uint32_t *n_seen, uint32_t *n_deleted, bool *done)
{
	const struct sn_table_info *info = &sn_tables_info[table];
	bool by_key = info->shape == SN_TABLE_SHAPE_TRIE;
	uint8_t at[SN_IPC_CURSOR_BYTES];
	uint32_t n = SN_MIN(n_most, (uint32_t)DP_TABLE_STEP);
	int r;

	*done = false;
	(void)memcpy(at, cursor, sizeof(at));
	r = read_batch(object->maps[table], at, &n, done);
	if (r < 0)
		return r;
	if (!by_key) {
		(void)memcpy(cursor, at, sizeof(at));
		cursor[0] = 1;
	}
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *key = batch.keys + i * info->key_bytes;

		r = 0;
		if (judge(arg, key, batch.values + i * info->value_bytes))
			r = delete_key(object, slots, table, key);
		if (r < 0)
			return r;
		*n_deleted += (uint32_t)r;
		if (by_key && r == 0) {
			cursor[0] = 1;
			(void)memcpy(cursor + CURSOR_KEY, key, info->key_bytes);
		}
	}
	*n_seen += n;
	return 0;
}

struct search {
	struct dp_slots *slots;
	enum sn_table table;
	int slot_offset;
	int generation_offset;
};

static bool note_staged(void *arg, const void *key, const void *value)
{
	const struct search *search = arg;
	uint32_t slot = get_u32(key, search->slot_offset);
	const struct sn_target *target = dp_slots_get(search->slots, slot);

	(void)value;
	if (target &&
	    get_u32(key, search->generation_offset) == target->next_generation)
		dp_slots_set_staged(search->slots, slot, search->table, true);
	return false;
}

int dp_table_find_staged(const struct dp_object *object, struct dp_slots *slots)
{
	for (size_t i = 0; i < SN_TABLE_COUNT; i++) {
		enum sn_table table = (enum sn_table)i;
		struct search search = {
			.slots = slots,
			.table = table,
			.slot_offset = dp_table_get_slot_offset(table),
			.generation_offset =
				dp_table_get_generation_offset(table),
		};
		uint8_t cursor[SN_IPC_CURSOR_BYTES] = { 0 };
		uint32_t n_seen = 0, n_deleted = 0;
		bool done = search.generation_offset < 0 || object->maps[i] < 0;

		while (!done) {
			int r = dp_table_step(object, slots, table, cursor,
					      DP_TABLE_STEP, note_staged,
					      &search, &n_seen, &n_deleted,
					      &done);

			if (r < 0)
				return sn_trace(r);
		}
	}
	return 0;
}
