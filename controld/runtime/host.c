/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "controld/link/batch.h"
#include "controld/link/scan.h"
#include "controld/runtime/selves.h"

enum { RETRY_MS = 5000 };

/* One thing at a time is asked of sentinel-dp. */
enum step {
	STEP_IDLE,
	STEP_LIST,
	STEP_ATTACH,
	STEP_CLEAN, /* rows of a generation that was begun by an earlier try */
	STEP_MATCH,
	STEP_SETTINGS,
	STEP_FLIP,
	STEP_RETIRE, /* rows of the generation before */
	STEP_DETACH,
};

struct cp_runtime_host {
	struct cp_runtime_host_options options;
	uv_timer_t retry; /* the host is freed in its close callback */
	struct cp_link *link; /* NULL: down */
	unsigned int epoch; /* of the link: answers of an earlier one are old */
	unsigned int n_unanswered;
	bool is_closed;
	bool is_timer_closed;
	bool is_supported;

	enum step step;
	bool is_asking; /* step's request is unanswered */
	size_t table; /* of CLEAN and RETIRE: index into tables */
	bool is_flushing;

	/* What sentinel-dp has. */
	uint8_t id[SN_ID_BYTES];
	uint32_t slot; /* 0: not attached */
	uint32_t generation;
	uint32_t next_generation;
	bool is_listed;
	bool has_strays;

	/* What is wanted, and whether it is in force. */
	size_t n_rows;
	struct cp_runtime_row *rows;
	struct sn_rt_settings settings;
	uint64_t events;
	bool is_dirty;
	bool is_refused;
	uint32_t refused_generation; /* with is_refused; 0: none was staged */
	char error[160];

	/* What is being put into force; another set may be wanted by then. */
	struct sn_rt_settings staged_settings;
	uint64_t staged_events;
};

/* One request: the host may be gone from the link it was made on. */
struct call {
	struct cp_runtime_host *host;
	unsigned int epoch;
	enum step step;
};

static const enum sn_table tables[] = { SN_TABLE_RT_MATCH,
					SN_TABLE_RT_SETTINGS };

static void advance(struct cp_runtime_host *host);

static void tell(struct cp_runtime_host *host)
{
	if (!host->is_closed && host->options.changed)
		host->options.changed(host->options.userdata);
}

static void free_if_done(struct cp_runtime_host *host)
{
	if (!host->is_closed || !host->is_timer_closed ||
	    host->n_unanswered > 0)
		return;
	free(host->rows);
	free(host);
}

static void timer_closed(uv_handle_t *handle)
{
	struct cp_runtime_host *host = handle->data;

	host->is_timer_closed = true;
	free_if_done(host);
}

static void retry(uv_timer_t *timer)
{
	struct cp_runtime_host *host = timer->data;

	host->is_refused = false;
	host->is_listed = false;
	advance(host);
}

int cp_runtime_host_new(struct cp_runtime_host **ret,
			const struct cp_runtime_host_options *options)
{
	struct cp_runtime_host *host = calloc(1, sizeof(*host));
	int r;

	if (!host)
		return -ENOMEM;
	host->options = *options;
	host->settings.n_words = 1;
	r = uv_timer_init(options->loop, &host->retry);
	if (r < 0) {
		free(host);
		return r;
	}
	host->retry.data = host;
	*ret = host;
	return 0;
}

void cp_runtime_host_close(struct cp_runtime_host *host)
{
	host->is_closed = true;
	host->link = NULL;
	uv_close((uv_handle_t *)&host->retry, timer_closed);
}

/* Returns whether the answer to a request still concerns the host, which may be
 * freed otherwise. */
static bool take_answer(struct call *call, struct cp_runtime_host **ret)
{
	struct cp_runtime_host *host = call->host;
	bool is_present = call->epoch == host->epoch && !host->is_closed;

	free(call);
	host->n_unanswered--;
	if (!is_present) {
		free_if_done(host);
		return false;
	}
	*ret = host;
	return true;
}

static struct call *new_call(struct cp_runtime_host *host)
{
	struct call *call = malloc(sizeof(*call));

	if (!call)
		return NULL;
	*call = (struct call){ .host = host, .epoch = host->epoch };
	host->n_unanswered++;
	return call;
}

static void drop_call(struct call *call)
{
	call->host->n_unanswered--;
	free(call);
}

/* A broken link has its own way back. */
static void refuse(struct cp_runtime_host *host, const char *what, int r)
{
	bool is_staged = host->step == STEP_MATCH ||
			 host->step == STEP_SETTINGS || host->step == STEP_FLIP;

	host->step = STEP_IDLE;
	host->is_dirty = true;
	if (r == -ECONNRESET || r == -ENOTCONN)
		return;
	host->has_strays = true;
	host->is_refused = true;
	host->refused_generation = is_staged ? host->next_generation : 0;
	(void)snprintf(host->error, sizeof(host->error), "%s: %s%s", what,
		       strerror(-r),
		       r == -ENOSPC ? " (sentinel-dp has no room for so many "
				      "values; --runtime-match)" :
				      "");
	(void)uv_timer_start(&host->retry, retry, RETRY_MS, 0);
	tell(host);
}

/* The next step's name for a message. */
static const char *name_of(enum step step)
{
	switch (step) {
	case STEP_IDLE:
		break;
	case STEP_LIST:
		return "cannot list targets";
	case STEP_ATTACH:
		return "cannot attach the host";
	case STEP_CLEAN:
		return "cannot remove old rows";
	case STEP_MATCH:
	case STEP_SETTINGS:
		return "cannot write the rules";
	case STEP_FLIP:
		return "cannot put the rules into force";
	case STEP_RETIRE:
		return "cannot remove the rules before";
	case STEP_DETACH:
		return "cannot detach the host";
	}
	return "";
}

static void finish(struct cp_runtime_host *host)
{
	host->step = STEP_IDLE;
	host->error[0] = '\0';
	tell(host);
	advance(host);
}

/* What follows when sentinel-dp has done the present step. */
static void go_on(struct cp_runtime_host *host, int status)
{
	enum step step = host->step;

	host->is_asking = false;
	if (status < 0) {
		refuse(host, name_of(step), status);
		return;
	}
	host->step = STEP_IDLE;
	switch (step) {
	case STEP_CLEAN:
		host->has_strays = false;
		break;
	case STEP_MATCH:
		host->step = STEP_SETTINGS;
		break;
	case STEP_SETTINGS:
		host->step = STEP_FLIP;
		break;
	case STEP_FLIP:
		host->generation = host->next_generation++;
		host->step = STEP_RETIRE;
		break;
	case STEP_DETACH:
		host->slot = 0;
		host->generation = 0;
		finish(host);
		return;
	case STEP_RETIRE:
		finish(host);
		return;
	case STEP_IDLE:
	case STEP_LIST:
	case STEP_ATTACH:
		break;
	}
	advance(host);
}

static void answered(void *userdata, const struct cp_link_answer *answer)
{
	struct cp_runtime_host *host;

	if (take_answer(userdata, &host))
		go_on(host, answer->status);
}

static void request(struct cp_runtime_host *host, enum sn_ipc_type type,
		    const void *body, cp_link_answer_fn fn)
{
	struct call *call = new_call(host);
	int r = -ENOMEM;

	if (call)
		r = cp_link_request(host->link, type, body, NULL, 0, -1, fn,
				    call);
	host->is_asking = r == 0;
	if (r == 0)
		return;
	if (call)
		drop_call(call);
	refuse(host, name_of(host->step), r);
}

/* Listing and attaching. */

static void got_target(void *userdata, const struct sn_ipc_target *target)
{
	struct call *call = userdata;
	struct cp_runtime_host *host = call->host;

	if (call->epoch != host->epoch || target->type != SN_TARGET_HOST ||
	    target->state != SN_TARGET_ATTACHED)
		return;
	(void)memcpy(host->id, target->id, sizeof(host->id));
	host->slot = target->slot;
	host->generation = target->generation;
	host->next_generation = target->next_generation;
	host->has_strays = true;
}

static void listed(void *userdata, int status, uint64_t deleted)
{
	struct cp_runtime_host *host;

	(void)deleted;
	if (!take_answer(userdata, &host))
		return;
	host->is_listed = status == 0;
	go_on(host, status);
}

static void list(struct cp_runtime_host *host)
{
	struct call *call = new_call(host);
	int r = -ENOMEM;

	host->slot = 0;
	host->generation = 0;
	if (call)
		r = cp_link_scan_list(host->link, got_target, listed, call);
	host->is_asking = r == 0;
	if (r == 0)
		return;
	if (call)
		drop_call(call);
	refuse(host, name_of(STEP_LIST), r);
}

static void attached(void *userdata, const struct cp_link_answer *answer)
{
	const struct sn_ipc_attach_answer *body = answer->body;
	struct cp_runtime_host *host;

	if (!take_answer(userdata, &host))
		return;
	if (answer->status == 0) {
		host->slot = body->slot;
		host->generation = 0;
		host->next_generation = body->generation + 1;
	}
	go_on(host, answer->status);
}

static void attach(struct cp_runtime_host *host)
{
	struct sn_ipc_attach body = { .type = SN_TARGET_HOST };

	if (getrandom(host->id, sizeof(host->id), 0) !=
	    (ssize_t)sizeof(host->id)) {
		refuse(host, name_of(STEP_ATTACH), -EIO);
		return;
	}
	(void)memcpy(body.id, host->id, sizeof(body.id));
	request(host, SN_IPC_ATTACH, &body, attached);
}

static void detach(struct cp_runtime_host *host)
{
	struct sn_ipc_detach body = { .slot = host->slot };

	(void)memcpy(body.id, host->id, sizeof(body.id));
	request(host, SN_IPC_DETACH, &body, answered);
}

/* Rows. */

static void sweep(struct cp_runtime_host *host);

static void swept(void *userdata, int status, uint64_t deleted)
{
	struct cp_runtime_host *host;

	(void)deleted;
	if (!take_answer(userdata, &host))
		return;
	if (status == 0 && ++host->table < SN_ARRAY_SIZE(tables))
		sweep(host);
	else
		go_on(host, status);
}

/* Every generation but the current one. */
static void sweep(struct cp_runtime_host *host)
{
	struct sn_ipc_page page = { .table = tables[host->table],
				    .slot = host->slot };
	struct call *call = new_call(host);
	int r = -ENOMEM;

	if (call)
		r = cp_link_scan_table(host->link, SN_IPC_TABLE_SWEEP, &page,
				       NULL, swept, call);
	host->is_asking = r == 0;
	if (r == 0)
		return;
	if (call)
		drop_call(call);
	refuse(host, name_of(host->step), r);
}

static void put(void *userdata, const struct cp_link_batch_result *result)
{
	struct cp_runtime_host *host;

	if (take_answer(userdata, &host))
		go_on(host, result->status);
}

/* rows: taken. */
static void put_rows(struct cp_runtime_host *host, enum sn_table table,
		     void *rows, size_t n)
{
	struct sn_ipc_table body = { .table = table,
				     .slot = host->slot,
				     .generation = host->next_generation };
	struct call *call = rows ? new_call(host) : NULL;
	int r = -ENOMEM;

	if (call)
		r = cp_link_batch_send(host->link, SN_IPC_TABLE_PUT, &body,
				       rows, (uint32_t)n, put, call);
	host->is_asking = r == 0;
	if (r == 0)
		return;
	free(rows);
	if (call)
		drop_call(call);
	refuse(host, name_of(host->step), r);
}

static void put_match(struct cp_runtime_host *host)
{
	struct cp_runtime_row *rows =
		malloc((host->n_rows + 1) * sizeof(*rows));

	if (host->options.staged)
		host->options.staged(host->options.userdata,
				     host->next_generation);
	host->is_dirty = false;
	host->staged_settings = host->settings;
	host->staged_events = host->events;
	for (size_t i = 0; rows && i < host->n_rows; i++) {
		rows[i] = host->rows[i];
		rows[i].key.slot = host->slot;
		rows[i].key.generation = host->next_generation;
	}
	put_rows(host, SN_TABLE_RT_MATCH, rows, host->n_rows);
}

static void put_settings(struct cp_runtime_host *host)
{
	struct {
		struct sn_rt_settings_key key;
		struct sn_rt_settings value;
	} *row = malloc(sizeof(*row));

	if (row) {
		row->key = (struct sn_rt_settings_key){
			.slot = host->slot,
			.generation = host->next_generation,
		};
		row->value = host->staged_settings;
	}
	put_rows(host, SN_TABLE_RT_SETTINGS, row, 1);
}

static void flip(struct cp_runtime_host *host)
{
	struct sn_ipc_flip body = {
		.slot = host->slot,
		.policy = { .generation = host->next_generation,
			    .runtime_events = host->staged_events },
	};

	request(host, SN_IPC_FLIP, &body, answered);
}

/* From idle: what is to be done next. */
static enum step choose(const struct cp_runtime_host *host)
{
	if (!host->is_listed)
		return STEP_LIST;
	if (host->events == 0)
		return host->slot ? STEP_DETACH : STEP_IDLE;
	if (host->slot == 0)
		return STEP_ATTACH;
	if (host->is_dirty)
		return host->has_strays ? STEP_CLEAN : STEP_MATCH;
	return STEP_IDLE;
}

/* Begins the next step unless one is under way. */
static void advance(struct cp_runtime_host *host)
{
	if (!host->link || !host->is_supported || host->is_refused ||
	    host->is_closed || host->is_asking)
		return;
	if (host->step == STEP_IDLE)
		host->step = choose(host);
	switch (host->step) {
	case STEP_IDLE:
		break;
	case STEP_LIST:
		list(host);
		break;
	case STEP_ATTACH:
		host->is_dirty = true;
		attach(host);
		break;
	case STEP_CLEAN:
	case STEP_RETIRE:
		host->table = 0;
		sweep(host);
		break;
	case STEP_MATCH:
		put_match(host);
		break;
	case STEP_SETTINGS:
		put_settings(host);
		break;
	case STEP_FLIP:
		flip(host);
		break;
	case STEP_DETACH:
		detach(host);
		break;
	}
}

/* For the owner. */

/* Not 0, and another one than before: nobody but us keeps what the kernel has
 * introduced. */
static uint32_t choose_epoch(const struct cp_runtime_host *host)
{
	uint32_t epoch;

	if (getrandom(&epoch, sizeof(epoch), 0) != (ssize_t)sizeof(epoch))
		epoch = 0;
	while (epoch == 0 || epoch == host->settings.epoch)
		epoch++;
	return epoch;
}

/* What is on its way is answered to nobody. */
static void forget(struct cp_runtime_host *host)
{
	host->epoch++;
	host->step = STEP_IDLE;
	host->is_asking = false;
	host->is_refused = false;
	host->is_flushing = false;
	(void)uv_timer_stop(&host->retry);
}

void cp_runtime_host_up(struct cp_runtime_host *host, struct cp_link *link,
			const struct sn_ipc_hello_answer *hello)
{
	forget(host);
	host->link = link;
	host->is_supported = hello->runtime;
	host->is_listed = false;
	host->is_dirty = true;
	host->settings.epoch = choose_epoch(host);
	cp_runtime_selves_get(cp_link_get_peer(link), host->settings.left_out);
	tell(host);
	advance(host);
}

void cp_runtime_host_down(struct cp_runtime_host *host)
{
	forget(host);
	host->link = NULL;
	tell(host);
}

int cp_runtime_host_want(struct cp_runtime_host *host,
			 const struct cp_runtime_compiled *compiled,
			 uint64_t events,
			 const struct cp_runtime_host_settings *settings)
{
	struct cp_runtime_row *rows =
		calloc(compiled->n_rows + 1, sizeof(*rows));
	struct sn_rt_settings fresh = compiled->settings;

	if (!rows)
		return -ENOMEM;
	(void)memcpy(rows, compiled->rows, compiled->n_rows * sizeof(*rows));
	free(host->rows);
	host->rows = rows;
	host->n_rows = compiled->n_rows;
	fresh.epoch = host->settings.epoch;
	fresh.flags = settings->flags;
	fresh.budget_ns = settings->budget_ns;
	fresh.burst_ns = settings->burst_ns;
	(void)memcpy(fresh.left_out, host->settings.left_out,
		     sizeof(fresh.left_out));
	host->settings = fresh;
	host->events = events;
	host->is_dirty = true;
	if (host->is_refused)
		host->is_listed = false;
	host->is_refused = false;
	(void)uv_timer_stop(&host->retry);
	advance(host);
	return 0;
}

enum cp_runtime_host_state
cp_runtime_host_get_state(const struct cp_runtime_host *host)
{
	if (!host->link)
		return CP_RUNTIME_HOST_AWAY;
	if (!host->is_supported)
		return CP_RUNTIME_HOST_UNSUPPORTED;
	if (host->is_refused)
		return CP_RUNTIME_HOST_REFUSED;
	return host->step == STEP_IDLE && choose(host) == STEP_IDLE ?
		       CP_RUNTIME_HOST_IN_FORCE :
		       CP_RUNTIME_HOST_CHANGING;
}

const char *cp_runtime_host_error(const struct cp_runtime_host *host)
{
	return host->is_refused ? host->error : "";
}

uint32_t cp_runtime_host_refused_generation(const struct cp_runtime_host *host)
{
	return host->is_refused ? host->refused_generation : 0;
}

uint32_t cp_runtime_host_generation(const struct cp_runtime_host *host)
{
	return host->generation;
}

static void flushed(void *userdata, int status, uint64_t deleted)
{
	struct cp_runtime_host *host;

	(void)status;
	(void)deleted;
	if (take_answer(userdata, &host))
		host->is_flushing = false;
}

void cp_runtime_host_flush(struct cp_runtime_host *host)
{
	struct sn_ipc_page page = { .table = SN_TABLE_RT_SUMS,
				    .slot = host->slot };
	struct call *call;

	if (!host->link || !host->is_supported || host->slot == 0 ||
	    host->is_flushing)
		return;
	call = new_call(host);
	if (!call)
		return;
	if (cp_link_scan_table(host->link, SN_IPC_TABLE_SWEEP, &page, NULL,
			       flushed, call) == 0)
		host->is_flushing = true;
	else
		drop_call(call);
}
