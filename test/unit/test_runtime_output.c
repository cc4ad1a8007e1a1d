/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/output.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include "controld/runtime/ledger.h"
#include "sentinel/v1/runtime.pb-c.h"
#include "test/unit/t.h"

struct rig {
	uv_loop_t loop;
	struct cp_runtime_store *store;
	struct cp_runtime_output *output;
	char folder[64];
	char path[128];
	unsigned int n_closed;
};

static void begin(struct rig *rig, uint64_t max_bytes, uint64_t n_files)
{
	struct cp_runtime_output_options options = {
		.loop = &rig->loop,
		.path = rig->path,
		.max_bytes = max_bytes,
		.n_files = n_files,
	};

	t_eq(uv_loop_init(&rig->loop), 0);
	t_eq(cp_runtime_store_new(&rig->store, 1 << 20), 0);
	t_eq(cp_runtime_output_new(&rig->output, &options), 0);
}

static void make_folder(struct rig *rig)
{
	(void)memset(rig, 0, sizeof(*rig));
	(void)strcpy(rig->folder, "/tmp/sentinel-test-XXXXXX");
	t_not_null(mkdtemp(rig->folder));
	(void)snprintf(rig->path, sizeof(rig->path), "%s/events", rig->folder);
}

static void closed(void *userdata)
{
	struct rig *rig = userdata;

	rig->n_closed++;
}

static void finish(struct rig *rig)
{
	cp_runtime_output_close(rig->output, closed, rig);
	(void)uv_run(&rig->loop, UV_RUN_DEFAULT);
	t_eq(rig->n_closed, 1);
	t_eq(uv_loop_close(&rig->loop), 0);
	cp_runtime_store_free(rig->store);
}

static void put_many(struct rig *rig, const char *name, uint64_t n)
{
	const struct cp_runtime_stored like = { .kind = 1, .n = n };
	Sentinel__V1__RuntimeEvent message;
	struct cp_runtime_position at = cp_runtime_store_next(rig->store);
	const struct cp_runtime_stored *stored;
	uint64_t n_lost;

	sentinel__v1__runtime_event__init(&message);
	message.event = (char *)(uintptr_t)name;
	t_eq(cp_runtime_store_put(rig->store, &message.base, &like), 0);
	t_eq(cp_runtime_store_read(rig->store, &at, &stored, &n_lost), 0);
	cp_runtime_output_put(rig->output, stored);
}

static void put(struct rig *rig, const char *name)
{
	put_many(rig, name, 1);
}

static size_t read_file(const char *path, char *ret, size_t size)
{
	FILE *file = fopen(path, "re");
	size_t n = 0;

	if (file) {
		n = fread(ret, 1, size - 1, file);
		(void)fclose(file);
	}
	ret[n] = '\0';
	return n;
}

static size_t count(const char *text, const char *part)
{
	size_t n = 0;

	while ((text = strstr(text, part))) {
		n++;
		text += strlen(part);
	}
	return n;
}

static void each_event_is_a_line_and_a_cut_one_is_ended(void)
{
	static struct rig rig;
	static char text[1 << 16];
	struct stat status;
	FILE *file;

	make_folder(&rig);
	file = fopen(rig.path, "we");
	t_not_null(file);
	(void)fputs("{\"cut", file);
	(void)fclose(file);
	begin(&rig, 1 << 20, 3);
	put(&rig, "one");
	put(&rig, "two");
	finish(&rig);
	(void)read_file(rig.path, text, sizeof(text));
	t_eq(count(text, "\n"), 3);
	t_not_null(strstr(text, "{\"cut\n{"));
	t_not_null(strstr(text, "\"event\":\"one\""));
	t_not_null(strstr(text, "\"event\":\"two\""));
	t_eq(stat(rig.path, &status), 0);
	(void)unlink(rig.path);
	(void)rmdir(rig.folder);
}

static void files_are_bounded_in_size_and_number(void)
{
	static struct rig rig;
	static char text[1 << 16];
	char path[160];
	struct stat status;

	make_folder(&rig);
	begin(&rig, 4000, 3);
	for (int i = 0; i < 100; i++)
		put(&rig, "event");
	finish(&rig);
	for (int i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof(path), i ? "%s.%d" : "%s", rig.path,
			       i);
		t_eq(stat(path, &status), 0);
		t_true(status.st_size <= 4000);
		t_eq(status.st_mode & 07777, 0600);
		(void)read_file(path, text, sizeof(text));
		t_eq(text[strlen(text) - 1], '\n');
		(void)unlink(path);
	}
	(void)snprintf(path, sizeof(path), "%s.3", rig.path);
	t_eq(access(path, F_OK), -1);
	(void)rmdir(rig.folder);
}

static void what_is_missing_is_told_when_it_can_be_written_again(void)
{
	static struct rig rig;
	static char text[1 << 16];
	struct cp_runtime_output_stats stats;

	make_folder(&rig);
	begin(&rig, 1 << 20, 3);
	(void)rmdir(rig.folder); /* as if the disk were gone */
	put(&rig, "lost");
	put_many(&rig, "lost", 5); /* itself a gap */
	while (uv_loop_alive(&rig.loop))
		(void)uv_run(&rig.loop, UV_RUN_ONCE);
	cp_runtime_output_get_stats(rig.output, &stats);
	t_eq(stats.n_dropped, 2);
	t_eq(stats.error, -ENOENT);
	t_eq(mkdir(rig.folder, 0700), 0);
	put(&rig, "kept");
	finish(&rig);
	(void)read_file(rig.path, text, sizeof(text));
	t_eq(count(text, "\n"), 2);
	t_not_null(strstr(text, "\"event\":\"gap\""));
	t_not_null(strstr(text, "\"gap\":6,"));
	t_not_null(strstr(text, "\"gap_cause\":\"file\""));
	t_not_null(strstr(text, "\"event\":\"kept\""));
	t_null(strstr(text, "lost"));
	(void)unlink(rig.path);
	(void)rmdir(rig.folder);
}

static void link_in_the_place_of_the_file_is_not_followed(void)
{
	static struct rig rig;
	struct cp_runtime_output_stats stats;

	make_folder(&rig);
	t_eq(symlink("/dev/null", rig.path), 0);
	begin(&rig, 1 << 20, 3);
	put(&rig, "lost");
	while (uv_loop_alive(&rig.loop))
		(void)uv_run(&rig.loop, UV_RUN_ONCE);
	cp_runtime_output_get_stats(rig.output, &stats);
	t_eq(stats.n_dropped, 1);
	t_eq(stats.error, -ELOOP);
	finish(&rig);
	(void)unlink(rig.path);
	(void)rmdir(rig.folder);
}

/* The ledger. */

static struct sn_rt_count *map_counts(int *fd)
{
	size_t bytes =
		(size_t)2 * SN_RT_EVENT_SLOTS * sizeof(struct sn_rt_count);
	void *at;

	*fd = memfd_create("ledger", MFD_CLOEXEC);
	t_true(*fd >= 0);
	t_eq(ftruncate(*fd, (off_t)bytes), 0);
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	t_true(at != MAP_FAILED);
	return at;
}

static void ledger_adds_up_cpus_and_goes_on_over_a_new_table(void)
{
	sn_cleanup(cp_runtime_ledger_freep) struct cp_runtime_ledger *ledger =
		NULL;
	struct cp_runtime_ledger_counts added;
	struct sn_rt_count *counts, *others;
	size_t row = (size_t)SN_RT_EVENT_FILE_OPEN * 2;
	int fd, other;

	counts = map_counts(&fd);
	others = map_counts(&other);
	t_eq(cp_runtime_ledger_new(&ledger), 0);
	cp_runtime_ledger_read(ledger, &added);
	t_eq(added.of[SN_RT_EVENT_FILE_OPEN].generated, 0);
	counts[row].generated = 5;
	counts[row + 1].generated = 2;
	counts[row + 1].ring_full = 1;
	t_eq(cp_runtime_ledger_open(ledger, fd, 2), 0);
	cp_runtime_ledger_read(ledger, &added);
	t_eq(added.of[SN_RT_EVENT_FILE_OPEN].generated, 7);
	t_eq(added.of[SN_RT_EVENT_FILE_OPEN].ring_full, 1);
	counts[row].generated = 6;
	cp_runtime_ledger_read(ledger, &added);
	t_eq(added.of[SN_RT_EVENT_FILE_OPEN].generated, 1);
	t_eq(added.of[SN_RT_EVENT_FILE_OPEN].ring_full, 0);
	/* The same table again. */
	t_eq(cp_runtime_ledger_open(ledger, fd, 2), 0);
	cp_runtime_ledger_read(ledger, &added);
	t_eq(added.of[SN_RT_EVENT_FILE_OPEN].generated, 0);
	/* Another one, which begins at 0. */
	others[row].generated = 3;
	t_eq(cp_runtime_ledger_open(ledger, other, 2), 0);
	cp_runtime_ledger_read(ledger, &added);
	t_eq(added.of[SN_RT_EVENT_FILE_OPEN].generated, 3);
	others[row].generated = 4;
	for (int i = 0; i < 2; i++) {
		cp_runtime_ledger_get(ledger, &added);
		t_eq(added.of[SN_RT_EVENT_FILE_OPEN].generated, 12);
	}
	cp_runtime_ledger_read(ledger, &added);
	t_eq(added.of[SN_RT_EVENT_FILE_OPEN].generated, 1);
	t_eq(cp_runtime_ledger_open(ledger, fd, 0), -EPROTO);
	(void)close(fd);
	(void)close(other);
}

T_MAIN("runtime_output", each_event_is_a_line_and_a_cut_one_is_ended,
       files_are_bounded_in_size_and_number,
       what_is_missing_is_told_when_it_can_be_written_again,
       link_in_the_place_of_the_file_is_not_followed,
       ledger_adds_up_cpus_and_goes_on_over_a_new_table)
