/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/object.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "dataplane/hooks.h"
#include "runtime.skel.h"
#include "sentinel.skel.h"
#include "shared/util.h"

#define OBJECT_VARIABLES "variables" /* pin beside the programs */

/* One of the two objects, and its folders of pins. */
struct part {
	bool runtime;
	const char *maps;
	const char *maps_new;
	const char *programs;
	const char *programs_new;
	const void *(*get_elf)(size_t *bytes);
};

static const struct part parts[] = {
	{ false, "maps", "maps_new", "programs", "programs_new",
	  sentinel_bpf__elf_bytes },
	{ true, "runtime_maps", "runtime_maps_new", "runtime_programs",
	  "runtime_programs_new", runtime_bpf__elf_bytes },
};

static bool has_table(const struct part *part, size_t table)
{
	return sn_tables_info[table].runtime == part->runtime;
}

static bool has_program(const struct part *part, size_t program)
{
	return (sn_programs_info[program].feature == SN_FEATURE_RUNTIME) ==
	       part->runtime;
}

/* An object in memory; the skeleton that it is of is not NULL. */
struct opened {
	struct bpf_object *object;
	struct sentinel_bpf *first;
	struct runtime_bpf *runtime;
};

static void close_opened(struct opened *opened)
{
	sentinel_bpf__destroy(opened->first);
	runtime_bpf__destroy(opened->runtime);
	*opened = (struct opened){ 0 };
}

static int fail(struct sn_diag *diag, int r, const char *what)
{
	sn_diag_set(diag, NULL, "%s: %s", what, strerror(-r));
	return sn_trace(r);
}

__attribute__((format(printf, 2, 0))) static int
print_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	char text[1024];

	if (level != LIBBPF_WARN)
		return 0;
	(void)vsnprintf(text, sizeof(text), format, args);
	sn_log(SN_LOG_WARNING, "libbpf text='%.*s'", (int)strcspn(text, "\n"),
	       text);
	return 0;
}

/* Four lanes of a 64-bit multiply-and-rotate over the object's words. It tells
 * builds apart and is no security property: the pins are root's alone. */
static void hash_object(const struct dp_object *object, const struct part *part,
			uint8_t hash[32])
{
	/* By other options other programs are pinned. */
	uint64_t lanes[4] = { 1, 2,
			      part->runtime && object->runtime_compat ? 4 : 3,
			      part->runtime && object->runtime_fexit };
	size_t bytes = 0;
	const char *elf = part->get_elf(&bytes);

	for (size_t at = 0; at < bytes; at += sizeof(uint64_t)) {
		size_t lane = at / sizeof(uint64_t) % 4;
		uint64_t word = 0;

		(void)memcpy(&word, elf + at, SN_MIN(sizeof(word), bytes - at));
		lanes[lane] = (lanes[lane] ^ word) * 0x9e3779b97f4a7c15ULL;
		lanes[lane] ^= lanes[lane] >> 29;
	}
	(void)memcpy(hash, lanes, 32);
}

static int open_first(const struct dp_object *object, struct opened *opened)
{
	struct sentinel_bpf *first = sentinel_bpf__open();

	if (!first)
		return sn_trace(-errno);
	*opened = (struct opened){ .object = first->obj, .first = first };
	first->rodata->sn_n_cpus = object->n_cpus;
	return 0;
}

static int open_runtime(const struct dp_object *object, struct opened *opened)
{
	const struct sn_rt_host *host = object->memory[SN_TABLE_RT_HOST];
	struct runtime_bpf *runtime = runtime_bpf__open();
	int r = 0;

	if (!runtime)
		return sn_trace(-errno);
	*opened = (struct opened){ .object = runtime->obj, .runtime = runtime };
	runtime->rodata->sn_n_cpus = object->n_cpus;
	if (host)
		r = dp_pins_pass_instances(object->pins, host->instance,
					   &runtime->rodata->sn_rt_instance);
	runtime->rodata->sn_rt_has_flush =
		!object->program_errors[SN_PROGRAM_RT_FLUSH];
	runtime->rodata->sn_rt_has_compat =
		!object->program_errors[SN_PROGRAM_RT_COMPAT];
	return r;
}

/* The object as it is built in, with this host's capacities, over the maps that
 * are there. */
static int open_part(const struct dp_object *object, const struct part *part,
		     struct opened *opened)
{
	int r;

	*opened = (struct opened){ 0 };
	r = part->runtime ? open_runtime(object, opened) :
			    open_first(object, opened);
	for (size_t i = 0; r >= 0 && i < SN_TABLE_COUNT; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(
			opened->object, sn_tables_info[i].map);

		if (!map)
			r = has_table(part, i) ? -ENOENT : 0;
		else if (object->maps[i] >= 0)
			r = bpf_map__reuse_fd(map, object->maps[i]);
		else if (object->capacity[i])
			r = bpf_map__set_max_entries(map, object->capacity[i]);
	}
	if (r < 0)
		close_opened(opened);
	return r < 0 ? sn_trace(r) : 0;
}

/* Leaves out programs that no table names. */
static void choose_programs(const struct opened *opened,
			    const bool wanted[SN_PROGRAM_COUNT])
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, opened->object)
		(void)bpf_program__set_autoload(program, false);
	for (size_t i = 0; i < SN_PROGRAM_COUNT; i++) {
		program = bpf_object__find_program_by_name(
			opened->object, sn_programs_info[i].function);
		if (program)
			(void)bpf_program__set_autoload(program, wanted[i]);
	}
}

static int write_meta(const struct dp_object *object, int fd)
{
	struct sn_meta meta = {
		.abi_version = SN_ABI_VERSION,
		.n_cpus = object->n_cpus,
		.n_slots = object->n_slots,
	};
	uint32_t zero = 0;

	return bpf_map_update_elem(fd, &zero, &meta, BPF_ANY) < 0 ? -errno : 0;
}

/* Frozen before anybody could map them writable. */
static int pin_map(const struct dp_object *object, const struct part *part,
		   const struct opened *opened, enum sn_table table)
{
	const struct sn_table_info *info = &sn_tables_info[table];
	int fd = bpf_object__find_map_fd_by_name(opened->object, info->map);
	int r;

	if (fd < 0)
		return sn_trace(fd);
	if (table == SN_TABLE_META) {
		r = write_meta(object, fd);
		if (r < 0)
			return sn_trace(r);
	}
	if (info->writer == SN_TABLE_WRITER_FROZEN &&
	    info->shape != SN_TABLE_SHAPE_RING && bpf_map_freeze(fd) < 0)
		return sn_trace(-errno);
	return dp_pins_put(object->pins, part->maps_new, info->map, fd);
}

static int make_maps(const struct dp_object *object, const struct part *part,
		     struct sn_diag *diag)
{
	static const bool none[SN_PROGRAM_COUNT];
	struct opened opened;
	int r;

	r = dp_pins_make(object->pins, part->maps_new);
	if (r < 0)
		return fail(diag, r, "cannot make the folder of the maps");
	r = open_part(object, part, &opened);
	if (r < 0)
		return fail(diag, r, "cannot open the BPF object");
	choose_programs(&opened, none);
	r = bpf_object__load(opened.object);
	for (size_t i = 0; r >= 0 && i < SN_TABLE_COUNT; i++) {
		if (has_table(part, i))
			r = pin_map(object, part, &opened, (enum sn_table)i);
	}
	close_opened(&opened);
	if (r >= 0)
		r = dp_pins_rename(object->pins, part->maps_new, part->maps);
	return r < 0 ? fail(diag, r, "cannot make the maps") : 0;
}

/* The pinned map against what this build would make. */
static int compare_map(const struct dp_object *object, enum sn_table table,
		       struct sn_diag *diag)
{
	const struct sn_table_info *info = &sn_tables_info[table];
	struct bpf_map_info is = { 0 };
	uint32_t bytes = sizeof(is);

	if (bpf_obj_get_info_by_fd(object->maps[table], &is, &bytes) < 0)
		return fail(diag, -errno, info->map);
	if (info->shape != SN_TABLE_SHAPE_RING &&
	    (is.key_size != info->key_bytes ||
	     is.value_size != info->value_bytes)) {
		sn_diag_set(diag, NULL,
			    "pinned map %s has entries of %u + %u bytes, "
			    "expected %u + %u",
			    info->map, is.key_size, is.value_size,
			    info->key_bytes, info->value_bytes);
		return -EINVAL;
	}
	if (object->capacity[table] &&
	    is.max_entries != object->capacity[table]) {
		sn_diag_set(diag, NULL,
			    "pinned map %s has capacity %u, options ask for "
			    "%u: start with the same options, or detach "
			    "everything and remove the pins",
			    info->map, is.max_entries, object->capacity[table]);
		return -EINVAL;
	}
	return 0;
}

static int compare_meta(const struct dp_object *object, struct sn_diag *diag)
{
	struct sn_meta meta;
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(object->maps[SN_TABLE_META], &zero, &meta) < 0)
		return fail(diag, -errno, "sn_meta");
	if (meta.abi_version != SN_ABI_VERSION)
		sn_diag_set(diag, NULL,
			    "pins have ABI version %u, this is %u: detach "
			    "everything with their version and remove %s",
			    meta.abi_version, SN_ABI_VERSION,
			    object->pins->root);
	else if (meta.n_cpus != object->n_cpus)
		sn_diag_set(diag, NULL,
			    "pins are for %u CPUs, this host has %u",
			    meta.n_cpus, object->n_cpus);
	else if (meta.n_slots != object->n_slots)
		sn_diag_set(diag, NULL,
			    "pins have %u slots, options ask for %u: start "
			    "with the same --slots, or detach everything and "
			    "remove the pins",
			    meta.n_slots, object->n_slots);
	else
		return 0;
	return -EINVAL;
}

static int map_memory(struct dp_object *object, enum sn_table table)
{
	const struct sn_table_info *info = &sn_tables_info[table];
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bytes = (size_t)object->capacity[table] *
		       ((info->value_bytes + 7U) & ~7U);
	void *memory;

	bytes = (bytes + page - 1) / page * page;
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		      object->maps[table], 0);
	if (memory == MAP_FAILED)
		return sn_trace(-errno);
	object->memory[table] = memory;
	object->memory_bytes[table] = bytes;
	return 0;
}

static int open_map(struct dp_object *object, const struct part *part,
		    enum sn_table table, struct sn_diag *diag)
{
	const char *name = sn_tables_info[table].map;

	object->maps[table] = dp_pins_get(object->pins, part->maps, name);
	return object->maps[table] < 0 ? fail(diag, object->maps[table], name) :
					 0;
}

static int open_maps(struct dp_object *object, const struct part *part,
		     struct sn_diag *diag)
{
	int r = 0;

	/* First whose pins they are: another version's may lack some. */
	if (!part->runtime) {
		r = open_map(object, part, SN_TABLE_META, diag);
		if (r >= 0)
			r = compare_meta(object, diag);
	}
	for (size_t i = 0; r >= 0 && i < SN_TABLE_COUNT; i++) {
		if (!has_table(part, i))
			continue;
		if (object->maps[i] < 0)
			r = open_map(object, part, (enum sn_table)i, diag);
		if (r >= 0)
			r = compare_map(object, (enum sn_table)i, diag);
	}
	for (size_t i = 0; r >= 0 && i < SN_TABLE_COUNT; i++) {
		if (!has_table(part, i) ||
		    sn_tables_info[i].writer != SN_TABLE_WRITER_DP ||
		    sn_tables_info[i].shape != SN_TABLE_SHAPE_ARRAY)
			continue;
		r = map_memory(object, (enum sn_table)i);
		if (r < 0)
			return fail(diag, r, sn_tables_info[i].map);
	}
	return r;
}

/* Loads the wanted programs over the pinned maps. */
static int load_wanted(const struct dp_object *object, const struct part *part,
		       const bool wanted[SN_PROGRAM_COUNT],
		       struct opened *opened)
{
	int r;

	r = open_part(object, part, opened);
	if (r < 0)
		return r;
	choose_programs(opened, wanted);
	r = bpf_object__load(opened->object);
	if (r < 0)
		close_opened(opened);
	return r;
}

/* Returns whether the program loads without the others; else notes why not. */
static bool try_alone(struct dp_object *object, const struct part *part,
		      size_t program)
{
	bool alone[SN_PROGRAM_COUNT] = { false };
	struct opened opened;
	int r;

	alone[program] = true;
	r = load_wanted(object, part, alone, &opened);
	if (r >= 0) {
		close_opened(&opened);
		return true;
	}
	object->program_errors[program] = -r;
	sn_log(SN_LOG_WARNING,
	       "program-refused name=%s error='%s' needs='%s' kernel=%s: its "
	       "feature is not available",
	       sn_programs_info[program].function, strerror(-r),
	       sn_programs_info[program].capability,
	       sn_programs_info[program].kernel);
	return false;
}

/* One program that this kernel refuses makes the whole load fail: then each is
 * tried alone, and those that load are loaded together. */
static int load_possible(struct dp_object *object, const struct part *part,
			 struct opened *opened)
{
	bool wanted[SN_PROGRAM_COUNT];
	size_t n_good = 0;

	for (size_t i = 0; i < SN_PROGRAM_COUNT; i++) {
		wanted[i] = has_program(part, i);
		if (wanted[i])
			object->program_errors[i] = 0;
	}
	/* What is known before saves trying them one by one. */
	if (part->runtime) {
		dp_hooks_find_missing(object->runtime_fexit,
				      object->program_errors);
		dp_hooks_find_unwanted(object->runtime_compat,
				       object->program_errors);
	}
	for (size_t i = 0; i < SN_PROGRAM_COUNT; i++)
		wanted[i] = wanted[i] && !object->program_errors[i];
	if (load_wanted(object, part, wanted, opened) == 0)
		return 0;
	for (size_t i = 0; i < SN_PROGRAM_COUNT; i++) {
		wanted[i] = wanted[i] && try_alone(object, part, i);
		n_good += wanted[i];
	}
	return n_good ? load_wanted(object, part, wanted, opened) : -EOPNOTSUPP;
}

static int pin_programs(const struct dp_object *object, const struct part *part,
			const struct opened *opened)
{
	int r;

	r = dp_pins_make(object->pins, part->programs_new);
	for (size_t i = 0; r >= 0 && i < SN_PROGRAM_COUNT; i++) {
		struct bpf_program *program = bpf_object__find_program_by_name(
			opened->object, sn_programs_info[i].function);

		if (!program || !has_program(part, i) ||
		    object->program_errors[i])
			continue;
		r = dp_pins_put(object->pins, part->programs_new,
				sn_programs_info[i].function,
				bpf_program__fd(program));
	}
	if (r >= 0 && opened->first)
		r = dp_pins_put(object->pins, part->programs_new,
				OBJECT_VARIABLES,
				bpf_map__fd(opened->first->maps.bss));
	return r;
}

static void close_programs(struct dp_object *object, const struct part *part)
{
	for (size_t i = 0; i < SN_PROGRAM_COUNT; i++) {
		if (has_program(part, i))
			sn_closep(&object->programs[i]);
	}
	if (!part->runtime)
		sn_closep(&object->variables);
}

/* Returns -ENOENT if a program's pin is missing that has no error noted, but for
 * optional ones: this kernel refused them when the others were pinned. */
static int open_programs(struct dp_object *object, const struct part *part,
			 const char *folder)
{
	for (size_t i = 0; i < SN_PROGRAM_COUNT; i++) {
		struct bpf_prog_info info = { 0 };
		uint32_t bytes = sizeof(info);
		int fd;

		if (!has_program(part, i) || object->program_errors[i])
			continue;
		fd = dp_pins_get(object->pins, folder,
				 sn_programs_info[i].function);
		if (fd == -ENOENT && !sn_programs_info[i].needed) {
			object->program_errors[i] = EOPNOTSUPP;
			continue;
		}
		if (fd < 0)
			return fd;
		object->programs[i] = fd;
		if (bpf_obj_get_info_by_fd(fd, &info, &bytes) < 0)
			return sn_trace(-errno);
		object->program_ids[i] = info.id;
	}
	if (part->runtime)
		return 0;
	object->variables = dp_pins_get(object->pins, folder, OBJECT_VARIABLES);
	return object->variables < 0 ? object->variables : 0;
}

static uint8_t *get_hash(const struct dp_object *object,
			 const struct part *part)
{
	struct sn_meta *meta = object->memory[SN_TABLE_META];
	struct sn_rt_host *host = object->memory[SN_TABLE_RT_HOST];

	return part->runtime ? host->object_hash : meta->object_hash;
}

static void set_replaced(struct dp_object *object, const struct part *part,
			 bool replaced)
{
	if (part->runtime)
		object->runtime_replaced = replaced;
	else
		object->replaced = replaced;
}

static int load_programs(struct dp_object *object, const struct part *part,
			 struct sn_diag *diag)
{
	struct opened opened;
	int r;

	(void)memset(get_hash(object, part), 0, 32);
	r = load_possible(object, part, &opened);
	if (r == -EOPNOTSUPP && part->runtime)
		return 0; /* it takes nothing from the other object */
	if (r < 0)
		return fail(diag, r, "the kernel takes none of the programs");
	r = pin_programs(object, part, &opened);
	close_opened(&opened);
	if (r < 0)
		return fail(diag, r, "cannot pin the programs");
	r = open_programs(object, part, part->programs_new);
	if (r < 0)
		return fail(diag, r, "cannot open the programs' pins");
	set_replaced(object, part, true);
	return 0;
}

static int open_all(struct dp_object *object, const struct part *part,
		    struct sn_diag *diag)
{
	uint8_t hash[32];
	int r;

	r = dp_pins_remove_folder(object->pins, part->maps_new);
	if (r >= 0)
		r = dp_pins_remove_folder(object->pins, part->programs_new);
	if (r < 0)
		return fail(diag, r,
			    "cannot remove what an earlier start left");
	r = dp_pins_has(object->pins, part->maps);
	if (r < 0)
		return fail(diag, r, "cannot look for pinned maps");
	if (r == 0) {
		r = make_maps(object, part, diag);
		if (r < 0)
			return r;
	}
	r = open_maps(object, part, diag);
	if (r < 0)
		return r;
	if (part->runtime)
		dp_hooks_find_unwanted(object->runtime_compat,
				       object->program_errors);
	hash_object(object, part, hash);
	if (memcmp(hash, get_hash(object, part), sizeof(hash)) == 0 &&
	    open_programs(object, part, part->programs) == 0)
		return 0;
	close_programs(object, part);
	return load_programs(object, part, diag);
}

static void close_part(struct dp_object *object, const struct part *part)
{
	for (size_t i = 0; i < SN_TABLE_COUNT; i++) {
		if (!has_table(part, i))
			continue;
		if (object->memory[i])
			(void)munmap(object->memory[i],
				     object->memory_bytes[i]);
		object->memory[i] = NULL;
		sn_closep(&object->maps[i]);
	}
	close_programs(object, part);
}

/* What an earlier process left of runtime events. */
static int forget_runtime(const struct dp_object *object)
{
	const struct part *part = &parts[1];
	const char *const folders[] = { part->programs, part->programs_new,
					part->maps_new, part->maps };
	int r = 0;

	for (size_t i = 0; r >= 0 && i < SN_ARRAY_SIZE(folders); i++)
		r = dp_pins_remove_folder(object->pins, folders[i]);
	return r;
}

/* Nothing that is wrong with it may cost the first object anything: pins that do
 * not fit are made anew, and if that fails too it is as if it had not been asked
 * for. */
static void try_runtime(struct dp_object *object)
{
	const struct part *part = &parts[1];
	char text[SN_DIAG_TEXT_BYTES];
	struct sn_diag diag = { 0 };
	int r = open_all(object, part, &diag);

	if (r < 0) {
		sn_log(SN_LOG_WARNING,
		       "runtime-anew error='%s': what is pinned of runtime "
		       "events is removed and made anew",
		       sn_diag_format(&diag, text, sizeof(text)));
		close_part(object, part);
		r = forget_runtime(object);
		r = r < 0 ? r : open_all(object, part, &diag);
	}
	object->runtime = r >= 0;
	if (object->runtime)
		return;
	sn_log(SN_LOG_ERROR,
	       "runtime-refused error='%s': there are no runtime events",
	       sn_diag_format(&diag, text, sizeof(text)));
	close_part(object, part);
	for (size_t i = 0; i < SN_PROGRAM_COUNT; i++) {
		if (has_program(part, i))
			object->program_errors[i] = -r;
	}
}

int dp_object_open(struct dp_object *object, const struct dp_pins *pins,
		   const struct dp_options *options, struct sn_diag *diag)
{
	int n_cpus = libbpf_num_possible_cpus();
	int r;

	(void)memset(object, 0, sizeof(*object));
	(void)memset(object->maps, 0xff, sizeof(object->maps));
	(void)memset(object->programs, 0xff, sizeof(object->programs));
	object->variables = -1;
	if (n_cpus < 0)
		return fail(diag, n_cpus, "cannot count the CPUs");
	(void)libbpf_set_print(print_libbpf);
	object->pins = pins;
	object->n_cpus = (uint32_t)n_cpus;
	object->n_slots = options->capacity[SN_TABLE_CAPACITY_SLOTS];
	object->runtime_fexit = options->runtime_fexit;
	object->runtime_compat = options->runtime_compat;
	for (size_t i = 0; i < SN_TABLE_COUNT; i++)
		object->capacity[i] = dp_options_get_capacity(
			options, sn_tables_info[i].capacity, object->n_cpus);
	r = open_all(object, &parts[0], diag);
	if (r >= 0 && options->runtime)
		try_runtime(object);
	/* Afterwards every failure has its errno and its own line. */
	(void)libbpf_set_print(NULL);
	if (r < 0)
		dp_object_done(object);
	return r;
}

static int commit(struct dp_object *object, const struct part *part)
{
	int r;

	r = dp_pins_remove_folder(object->pins, part->programs);
	if (r >= 0)
		r = dp_pins_rename(object->pins, part->programs_new,
				   part->programs);
	if (r < 0)
		return sn_trace(r);
	hash_object(object, part, get_hash(object, part));
	set_replaced(object, part, false);
	return 0;
}

int dp_object_commit(struct dp_object *object)
{
	int r = 0;

	if (object->replaced)
		r = commit(object, &parts[0]);
	if (r >= 0 && object->runtime_replaced)
		r = commit(object, &parts[1]);
	if (r >= 0 && !object->runtime)
		r = forget_runtime(object);
	return r;
}

void dp_object_done(struct dp_object *object)
{
	for (size_t i = 0; i < SN_ARRAY_SIZE(parts); i++)
		close_part(object, &parts[i]);
}

int dp_object_set_task(struct dp_object *object, uint32_t pid)
{
	struct sentinel_bpf__bss variables;
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(object->variables, &zero, &variables) < 0)
		return sn_trace(-errno);
	variables.sn_task_pid = pid;
	if (bpf_map_update_elem(object->variables, &zero, &variables, BPF_ANY) <
	    0)
		return sn_trace(-errno);
	return 0;
}
