/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/names.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "controld/attach/rows.h"
#include "controld/state/file.h"
#include "controld/state/times.h"
#include "sentinel/state/v1/state.pb-c.h"
#include "shared/log.h"

/* A round packs what has changed, a bounded number of pairs at a time, so that
 * the loop's other work has its turn, and then hands all packed attachments to
 * the worker. */

enum {
	PAIRS_AT_ONCE = 4096,
	PAUSE_MS = 1, /* between the parts of a round */
};

#define LIFE_MAX_NS (CP_ATTACH_NAMES_LIFE_MAX_S * SN_NS_PER_S)

typedef Sentinel__State__V1__Learnt message_t;
typedef Sentinel__State__V1__LearntPair pair_t;

struct cp_attach_names {
	struct cp_attach *manager;
	uv_timer_t timer;
	uv_work_t work;
	int dir_fd;
	char *name;
	struct cp_state_blob **blobs; /* the worker's share */
	struct cp_state_record *records;
	size_t n;
	uint32_t number; /* of the file */
	int error;
	bool is_round; /* packing */
	char after[CP_ATTACH_ID_CHARS + 1]; /* packed up to here */
	bool is_writing;
	bool is_changed; /* something was packed, or has ended */
	size_t n_items; /* when that was looked at */
	bool has_told; /* the last write failed or was cut */
	struct cp_attach_names_stats stats;
};

/* Packing. */

struct packed {
	pair_t *pairs;
	pair_t **ptrs;
	struct cp_dns_learnt_row *rows;
	size_t n;
};

static void packed_done(struct packed *packed)
{
	free(packed->pairs);
	free(packed->ptrs);
	free(packed->rows);
}

static int collect_rows(const struct cp_attach_item *item, uint64_t now_ns,
			struct packed *ret)
{
	const struct cp_dns_learnt_row *after = NULL;
	size_t size = 0;

	for (;; after = &ret->rows[ret->n++]) {
		if (ret->n == size) {
			struct cp_dns_learnt_row *rows;

			size = SN_MAX(2 * size, (size_t)16);
			rows = reallocarray(ret->rows, size, sizeof(*rows));
			if (!rows)
				return -ENOMEM;
			ret->rows = rows;
			if (after)
				after = &rows[ret->n - 1];
		}
		if (!cp_dns_learnt_next_row(item->learnt, after, now_ns,
					    &ret->rows[ret->n]))
			return 0;
	}
}

static void pack_pairs(struct packed *packed,
		       const struct cp_state_times_now *now)
{
	for (size_t i = 0; i < packed->n; i++) {
		struct cp_dns_learnt_row *row = &packed->rows[i];
		pair_t *pair = &packed->pairs[i];

		sentinel__state__v1__learnt_pair__init(pair);
		pair->name.data = row->name.wire;
		pair->name.len = row->name.size;
		pair->address.data = row->address.bytes;
		pair->address.len = row->address.family == SN_FAMILY_IPV4 ? 4 :
									    16;
		pair->expires_boot_ns = row->expires_ns;
		pair->expires_wall_ns =
			cp_state_times_wall(row->expires_ns, now);
		packed->ptrs[i] = pair;
	}
}

static int pack_message(struct cp_attach_item *item, message_t *message)
{
	sn_cleanup(sn_freep) uint8_t *data = NULL;
	struct cp_state_blob *blob;
	size_t size = sentinel__state__v1__learnt__get_packed_size(message);
	int r;

	data = malloc(size + 1);
	if (!data)
		return -ENOMEM;
	sentinel__state__v1__learnt__pack(message, data);
	r = cp_state_blob_new(&blob, CP_STATE_RECORD_PUT, item->id_text, data,
			      size);
	if (r < 0)
		return r;
	cp_state_blob_free(item->names);
	item->names = blob;
	return 0;
}

/* *n: pairs. */
static int pack(struct cp_attach_item *item, size_t *n)
{
	struct cp_state_times_now now = {
		.boot_ns = cp_attach_item_now(item->manager),
		.wall_ns = cp_attach_item_wall_now(),
	};
	struct packed packed = { 0 };
	message_t message;
	int r;

	sentinel__state__v1__learnt__init(&message);
	r = collect_rows(item, now.boot_ns, &packed);
	if (r == 0) {
		packed.pairs = calloc(packed.n + 1, sizeof(*packed.pairs));
		packed.ptrs = calloc(packed.n + 1, sizeof(*packed.ptrs));
		if (!packed.pairs || !packed.ptrs)
			r = -ENOMEM;
	}
	if (r == 0) {
		pack_pairs(&packed, &now);
		message.boot_id = item->manager->boot_id;
		message.saved_boot_ns = now.boot_ns;
		message.n_pairs = packed.n;
		message.pairs = packed.ptrs;
		message.n_dns_ends = CP_ATTACH_INFO_DNS_ENDS;
		message.dns_ends = item->dns_ends;
		r = pack_message(item, &message);
	}
	*n = packed.n;
	packed_done(&packed);
	return r;
}

/* Writing. */

static void work(uv_work_t *request)
{
	struct cp_attach_names *names =
		sn_container_of(request, struct cp_attach_names, work);
	struct cp_state_file_id id = { .number = names->number };

	names->error = cp_state_file_stage(names->dir_fd, names->name,
					   names->records, names->n, &id);
	if (names->error == 0)
		names->error = cp_state_file_commit(names->dir_fd, names->name);
}

static void drop_share(struct cp_attach_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		cp_state_blob_free(names->blobs[i]);
	free(names->blobs);
	free(names->records);
	names->blobs = NULL;
	names->records = NULL;
	names->n = 0;
}

static void start_write(struct cp_attach_names *names);

static void end_write(struct cp_attach_names *names, int error)
{
	struct cp_attach *manager = names->manager;

	drop_share(names);
	names->is_writing = false;
	if (error == 0)
		names->stats.n_writes++;
	if (error < 0) {
		names->stats.n_failed++;
		names->is_changed = true;
		if (!names->has_told)
			sn_log(SN_LOG_WARNING,
			       "learnt.pb error=%s: names would be lost by a "
			       "restart, addresses not; tried again",
			       strerror(-error));
	}
	names->has_told = error < 0;
	/* What was packed while the last but one was written. */
	if (manager->is_closing && error == 0)
		start_write(names);
	manager->n_tasks--;
	(void)uv_async_send(&manager->kick);
}

static void worked(uv_work_t *request, int status)
{
	struct cp_attach_names *names =
		sn_container_of(request, struct cp_attach_names, work);

	end_write(names, status < 0 ? status : names->error);
}

/* Takes shares of what is packed, in the order of ids. */
static int fill(struct cp_attach_names *names)
{
	struct cp_attach *manager = names->manager;
	uint64_t bytes = 0;

	names->blobs =
		calloc(manager->n_items + 1, sizeof(struct cp_state_blob *));
	names->records = calloc(manager->n_items + 1, sizeof(*names->records));
	if (!names->blobs || !names->records)
		return -ENOMEM;
	for (size_t i = 0; i < manager->n_items; i++) {
		struct cp_state_blob *blob = manager->items[i]->names;

		if (!blob || manager->items[i]->is_new)
			continue;
		bytes += blob->size;
		if (bytes > CP_ATTACH_NAMES_BYTES_MAX)
			return -EFBIG;
		names->blobs[names->n] = cp_state_blob_share(blob);
		names->records[names->n++] = cp_state_blob_record(blob);
	}
	return 0;
}

static void start_write(struct cp_attach_names *names)
{
	struct cp_attach *manager = names->manager;
	int r;

	if (names->is_writing || !names->is_changed)
		return;
	names->is_changed = false;
	names->is_writing = true;
	names->number++;
	manager->n_tasks++;
	r = fill(names);
	/* What fits is written. */
	if (r == -EFBIG && !names->has_told)
		sn_log(SN_LOG_WARNING,
		       "learnt.pb would be larger than %d bytes: the names of "
		       "some attachments would be lost by a restart",
		       CP_ATTACH_NAMES_BYTES_MAX);
	if (r == -EFBIG)
		r = 0;
	if (r == 0)
		r = uv_queue_work(manager->options.loop, &names->work, work,
				  worked);
	if (r < 0)
		end_write(names, r);
}

/* Packs from where the round is. True: it has come to its end. */
static bool pack_some(struct cp_attach_names *names, size_t max)
{
	struct cp_attach *manager = names->manager;
	size_t i = cp_attach_item_index_after(manager, names->after);
	size_t n_packed = 0;

	for (; i < manager->n_items && n_packed < max; i++) {
		struct cp_attach_item *item = manager->items[i];
		size_t n;

		memcpy(names->after, item->id_text, sizeof(names->after));
		if (!item->is_dns_changed || item->is_new)
			continue;
		/* Without memory it is tried in the next round. */
		item->is_dns_changed = pack(item, &n) < 0;
		n_packed += n + 1;
		names->is_changed = true;
	}
	names->is_changed |= names->n_items != manager->n_items;
	names->n_items = manager->n_items;
	return i >= manager->n_items;
}

static void ring(uv_timer_t *timer)
{
	struct cp_attach_names *names = timer->data;
	uint64_t pause_ms = PAUSE_MS;

	if (!names->is_round)
		names->after[0] = '\0';
	names->is_round = !pack_some(names, PAIRS_AT_ONCE);
	if (!names->is_round) {
		start_write(names);
		pause_ms = CP_ATTACH_NAMES_INTERVAL_MS;
	}
	(void)uv_timer_start(timer, ring, pause_ms, 0);
}

void cp_attach_names_get_stats(const struct cp_attach *manager,
			       struct cp_attach_names_stats *ret)
{
	*ret = manager->names ? manager->names->stats :
				(struct cp_attach_names_stats){ 0 };
}

void cp_attach_names_write(struct cp_attach *manager)
{
	struct cp_attach_names *names = manager->names;

	names->after[0] = '\0';
	names->is_round = false;
	(void)pack_some(names, SIZE_MAX);
	start_write(names);
}

/* Reading. */

static bool read_address(const ProtobufCBinaryData *from,
			 struct cp_dns_address *ret)
{
	*ret = (struct cp_dns_address){
		.family = from->len == 4 ? SN_FAMILY_IPV4 : SN_FAMILY_IPV6,
	};
	if (from->len != 4 && from->len != 16)
		return false;
	memcpy(ret->bytes, from->data, from->len);
	return true;
}

static int put_pair(struct cp_attach_item *item, const message_t *message,
		    const pair_t *pair, const struct cp_state_times_now *now)
{
	bool same_boot = strcmp(message->boot_id, item->manager->boot_id) == 0;
	const struct cp_policy *policy = item->policy;
	struct cp_dns_address address;
	struct cp_dns_match match;
	struct cp_dns_name name;
	uint64_t expires_ns;
	size_t end;
	int r;

	if (!read_address(&pair->address, &address) ||
	    cp_dns_name_read(pair->name.data, pair->name.len, 0, &name, &end) !=
		    0 ||
	    end != pair->name.len)
		return -EBADMSG;
	expires_ns = cp_state_times_restore(same_boot, pair->expires_boot_ns,
					    pair->expires_wall_ns,
					    message->saved_boot_ns, now);
	cp_dns_rules_match(cp_policy_get_domains(policy), &name, &match);
	expires_ns = SN_MIN(expires_ns, now->boot_ns + LIFE_MAX_NS);
	if (expires_ns <= now->boot_ns || match.verdict == SN_VERDICT_DENY ||
	    (match.verdict == SN_VERDICT_NONE &&
	     !cp_attach_rows_keeps_unruled(policy, policy)))
		return 0;
	/* What is over a quota that was lowered is without a name. */
	r = cp_dns_learnt_put(item->learnt, &name, &match, &address, 1, NULL,
			      expires_ns, now->boot_ns);
	return r < 0 ? r : 0;
}

int cp_attach_names_take(struct cp_attach *manager,
			 const struct cp_state_record *record)
{
	struct cp_attach_item *item = cp_attach_item_find(manager, record->key);
	struct cp_state_times_now now = {
		.boot_ns = cp_attach_item_now(manager),
		.wall_ns = cp_attach_item_wall_now(),
	};
	message_t *message;
	int r = 0;

	if (!item)
		return 0; /* detached since then */
	message = sentinel__state__v1__learnt__unpack(NULL, record->size,
						      record->blob);
	if (!message)
		return -EBADMSG;
	for (size_t i = 0; r == 0 && i < message->n_pairs; i++)
		r = put_pair(item, message, message->pairs[i], &now);
	for (size_t i = 0;
	     i < SN_MIN(message->n_dns_ends, (size_t)CP_ATTACH_INFO_DNS_ENDS);
	     i++)
		item->dns_ends[i] = message->dns_ends[i];
	item->is_dns_changed = true;
	sentinel__state__v1__learnt__free_unpacked(message, NULL);
	return r;
}

static int take_record(void *userdata, const struct cp_state_record *record)
{
	return cp_attach_names_take(userdata, record);
}

static int read_names(struct cp_attach_names *names)
{
	sn_cleanup(sn_freep) void *data = NULL;
	struct sn_diag diag = { .text = "" };
	struct cp_state_file_id id = { .number = 0 };
	size_t size;
	int r;

	r = cp_state_file_read(names->dir_fd, names->name, &data, &size, &diag);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = cp_state_file_parse(data, size, take_record, names->manager,
					&id, &diag);
	names->number = id.number;
	if (r != 0 && r != -ENOMEM) {
		sn_log(SN_LOG_WARNING,
		       "learnt.pb error='%s': names are lost, what they have "
		       "opened stays open to its end",
		       diag.text[0] ? diag.text : strerror(-r));
		r = 0;
	}
	return r;
}

static struct cp_attach_names *names_free(struct cp_attach_names *names)
{
	if (!names)
		return NULL;
	drop_share(names);
	sn_closep(&names->dir_fd);
	free(names->name);
	free(names);
	return NULL;
}
SN_DEFINE_CLEANUP(struct cp_attach_names, names_free)

static int open_folder(struct cp_attach_names *names, const char *path)
{
	const char *slash = strrchr(path, '/');
	sn_cleanup(sn_freep) char *folder = NULL;

	folder = slash ? strndup(path, (size_t)(slash - path) + 1) :
			 strdup(".");
	names->name = strdup(slash ? slash + 1 : path);
	if (!folder || !names->name)
		return -ENOMEM;
	names->dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return names->dir_fd < 0 ? -errno : 0;
}

int cp_attach_names_start(struct cp_attach *manager)
{
	sn_cleanup(names_freep) struct cp_attach_names *names = NULL;
	int r;

	if (!manager->options.learnt_path)
		return 0;
	names = calloc(1, sizeof(*names));
	if (!names)
		return -ENOMEM;
	names->manager = manager;
	names->dir_fd = -1;
	r = open_folder(names, manager->options.learnt_path);
	if (r == 0)
		r = read_names(names);
	if (r == 0)
		r = uv_timer_init(manager->options.loop, &names->timer);
	if (r < 0)
		return r;
	names->timer.data = names;
	manager->n_handles++;
	(void)uv_timer_start(&names->timer, ring, CP_ATTACH_NAMES_INTERVAL_MS,
			     0);
	manager->names = sn_steal(&names);
	return 0;
}

static void timer_closed(uv_handle_t *handle)
{
	struct cp_attach_names *names = handle->data;
	struct cp_attach *manager = names->manager;

	names_free(names);
	cp_attach_item_handle_closed(manager);
}

void cp_attach_names_stop(struct cp_attach *manager)
{
	if (!manager->names)
		return;
	(void)uv_timer_stop(&manager->names->timer);
	cp_attach_names_write(manager);
}

void cp_attach_names_close(struct cp_attach *manager)
{
	if (manager->names)
		uv_close((uv_handle_t *)&manager->names->timer, timer_closed);
}
