/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/tables.h"

#include "shared/util.h"

const struct sn_table_info sn_tables_info[SN_TABLE_COUNT] = {
/* The name is the map's without its "sn_". */
#define SN_TABLE(id, map_, key_, value_, shape_, capacity_, writer_, seal_) \
	[SN_TABLE_##id] = {                                                 \
		.name = &#map_[3],                                          \
		.map = #map_,                                               \
		.key_bytes = sizeof(key_),                                  \
		.value_bytes = sizeof(value_),                              \
		.shape = SN_TABLE_SHAPE_##shape_,                           \
		.capacity = SN_TABLE_CAPACITY_##capacity_,                  \
		.writer = SN_TABLE_WRITER_##writer_,                        \
		.sealed = SEAL_##seal_,                                     \
		.runtime = IS_RUNTIME(#map_),                               \
	},
#define SN_CHECK(table, checker, part, field, a, b)
#define SEAL_SEALED true
/* "sn_rt_*" */
#define IS_RUNTIME(map) ((map)[3] == 'r' && (map)[4] == 't' && (map)[5] == '_')
#define SEAL_PLAIN	false
#include "shared/tables.def"
#undef SN_TABLE
#undef SN_CHECK
};

/* One struct per table, so that a check's field can be named by its part. */
#define SN_TABLE(id, map, key, value, shape, capacity, writer, seal) \
	struct id##_row {                                            \
		key KEY;                                             \
		value VALUE;                                         \
	};
#define SN_CHECK(table, checker, part, field, a, b)
#include "shared/tables.def"
#undef SN_TABLE
#undef SN_CHECK

#define FIELD_OFFSET(table, part, field)            \
	(offsetof(struct table##_row, part.field) - \
	 offsetof(struct table##_row, part))
#define FIELD_BYTES(table, part, field) \
	sizeof(((struct table##_row *)NULL)->part.field)

#define PART_KEY   false
#define PART_VALUE true

#define NOTHING(table, part, x) 0
#define NUMBER(table, part, x)	(x)
#define A_SLOT			NOTHING
#define A_GENERATION		NOTHING
#define A_FAMILY		NOTHING
#define A_ZERO			NOTHING
#define A_PREFIX		FIELD_OFFSET
#define A_TRIE_PREFIX		FIELD_OFFSET
#define A_RANGE			NUMBER
#define A_ITEMS			FIELD_OFFSET
#define B_SLOT			NOTHING
#define B_GENERATION		NOTHING
#define B_FAMILY		NOTHING
#define B_ZERO			NOTHING
#define B_PREFIX		FIELD_OFFSET
#define B_TRIE_PREFIX		FIELD_OFFSET
#define B_RANGE			NUMBER
#define B_ITEMS			NOTHING

const struct sn_check sn_tables_checks[] = {
#define SN_TABLE(id, map, key, value, shape, capacity, writer, seal)
#define SN_CHECK(table_, checker, part, field, a_, b_)       \
	{                                                    \
		.table = SN_TABLE_##table_,                  \
		.kind = SN_CHECK_##checker,                  \
		.in_value = PART_##part,                     \
		.offset = FIELD_OFFSET(table_, part, field), \
		.bytes = FIELD_BYTES(table_, part, field),   \
		.a = A_##checker(table_, part, a_),          \
		.b = B_##checker(table_, part, b_),          \
	},
#include "shared/tables.def"
#undef SN_TABLE
#undef SN_CHECK
};
const size_t sn_tables_n_checks = SN_ARRAY_SIZE(sn_tables_checks);

const struct sn_program_info sn_programs_info[SN_PROGRAM_COUNT] = {
#define NEED_NEEDED   true
#define NEED_OPTIONAL false
#define SN_PROGRAM(id, function_, feature_, hook_, need, capability_, kernel_) \
	[SN_PROGRAM_##id] = {                                                  \
		.name = #id,                                                   \
		.function = #function_,                                        \
		.feature = SN_FEATURE_##feature_,                              \
		.hook = SN_PROGRAM_HOOK_##hook_,                               \
		.needed = NEED_##need,                                         \
		.capability = capability_,                                     \
		.kernel = kernel_,                                             \
	},
#include "shared/programs.def"
#undef SN_PROGRAM
};

const struct sn_reason_info sn_reasons_info[SN_REASON_COUNT] = {
#define SN_REASON(id, kind_, name_, meaning_)   \
	[SN_REASON_##id] = {                    \
		.name = name_,                  \
		.kind = SN_REASON_KIND_##kind_, \
		.meaning = meaning_,            \
	},
#include "shared/reasons.def"
#undef SN_REASON
};
