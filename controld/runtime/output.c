/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/output.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controld/rpc/json.h"
#include "controld/rpc/message.h"
#include "sentinel/v1/runtime.pb-c.h"
#include "shared/log.h"

enum { FILE_MODE = 0600 };

struct line {
	STAILQ_ENTRY(line) link;
	uint64_t n; /* events that it stands for */
	size_t size;
	uint8_t bytes[]; /* of the message */
};

STAILQ_HEAD(lines, line);

struct cp_runtime_output {
	uv_loop_t *loop;
	uv_work_t work;
	bool is_working;
	bool is_closing;
	void (*closed)(void *userdata);
	void *closed_userdata;
	struct lines queue;
	size_t n_queued; /* bytes */
	uint64_t n_overflowed; /* not told yet */
	struct cp_runtime_output_stats stats;

	/* The worker's while it works. */
	char *path;
	uint64_t max_bytes;
	uint64_t n_files;
	int fd; /* -1: not open */
	uint64_t size; /* of the file */
	struct lines taken;
	uint64_t n_missing; /* to be told in the file */
	struct cp_runtime_output_stats done; /* in this turn */
};

/* In the worker. */

/* A line that a crash cut off is ended, so that it spoils no other. */
static int end_line(int fd, uint64_t *size)
{
	char last;

	if (*size == 0 || pread(fd, &last, 1, (off_t)*size - 1) != 1 ||
	    last == '\n')
		return 0;
	if (write(fd, "\n", 1) != 1)
		return -errno;
	(*size)++;
	return 0;
}

static int open_file(struct cp_runtime_output *output)
{
	struct stat status;
	sn_cleanup(sn_closep) int fd = -1;
	int r;

	if (output->fd >= 0)
		return 0;
	fd = open(output->path,
		  O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW |
			  O_NONBLOCK,
		  FILE_MODE);
	if (fd < 0 || fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EINVAL;
	output->size = (uint64_t)status.st_size;
	r = end_line(fd, &output->size);
	if (r < 0)
		return r;
	output->fd = sn_steal_fd(&fd);
	return 0;
}

static void number(const struct cp_runtime_output *output, uint64_t n,
		   char *ret, size_t ret_bytes)
{
	if (n == 0)
		(void)snprintf(ret, ret_bytes, "%s", output->path);
	else
		(void)snprintf(ret, ret_bytes, "%s.%llu", output->path,
			       (unsigned long long)n);
}

/* FILE.1 is the one before. What cannot be moved is written over. */
static void rotate(struct cp_runtime_output *output)
{
	size_t bytes = strlen(output->path) + 32;
	sn_cleanup(sn_freep) char *from = malloc(bytes);
	sn_cleanup(sn_freep) char *to = malloc(bytes);

	sn_closep(&output->fd);
	if (!from || !to)
		return;
	if (output->n_files == 1) {
		(void)unlink(output->path);
		return;
	}
	for (uint64_t n = output->n_files - 1; n > 0; n--) {
		number(output, n - 1, from, bytes);
		number(output, n, to, bytes);
		(void)rename(from, to);
	}
}

/* The whole text, or nothing of it. */
static int write_text(struct cp_runtime_output *output, const char *text,
		      size_t size)
{
	ssize_t n;
	int r;

	if (output->size > 0 && output->size + size > output->max_bytes)
		rotate(output);
	r = open_file(output);
	if (r < 0)
		return r;
	n = write(output->fd, text, size);
	if (n == (ssize_t)size) {
		output->size += size;
		output->done.n_bytes += size;
		return 0;
	}
	r = n < 0 ? -errno : -ENOSPC;
	if (n > 0 && ftruncate(output->fd, (off_t)output->size) < 0)
		sn_closep(&output->fd); /* ended when it is opened again */
	return r;
}

static int write_message(struct cp_runtime_output *output,
			 const ProtobufCMessage *message)
{
	sn_cleanup(sn_freep) char *text = NULL;
	json_t *json;
	size_t size;
	int r;

	r = cp_rpc_json_from_message(message, CP_RPC_JSON_STYLE_PLAIN, &json);
	if (r < 0)
		return r;
	text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	if (!text)
		return -ENOMEM;
	size = strlen(text);
	text[size] = '\n'; /* in the place of its NUL */
	return write_text(output, text, size + 1);
}

static int write_gap(struct cp_runtime_output *output)
{
	Sentinel__V1__RuntimeEvent gap;
	char name[] = "gap";
	int r;

	if (output->n_missing == 0)
		return 0;
	sentinel__v1__runtime_event__init(&gap);
	gap.event = name;
	gap.gap = output->n_missing;
	gap.gap_cause = SENTINEL__V1__RUNTIME_CUT__RUNTIME_CUT_FILE;
	r = write_message(output, &gap.base);
	if (r == 0)
		output->n_missing = 0;
	return r;
}

static int write_line(struct cp_runtime_output *output, const struct line *line)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *message = NULL;
	struct sn_diag diag = { .text = "" };
	int r = write_gap(output);

	if (r == 0)
		r = cp_rpc_message_unpack(
			&sentinel__v1__runtime_event__descriptor, line->bytes,
			line->size, &message, &diag);
	if (r == 0)
		r = write_message(output, message);
	return r > 0 ? -EBADMSG : r;
}

static void work(uv_work_t *request)
{
	struct cp_runtime_output *output = request->data;
	struct line *line;

	while ((line = STAILQ_FIRST(&output->taken))) {
		int r = write_line(output, line);

		STAILQ_REMOVE_HEAD(&output->taken, link);
		output->done.error = r;
		if (r == 0) {
			output->done.n_written++;
		} else {
			output->done.n_dropped++;
			output->n_missing += line->n;
		}
		free(line);
	}
}

/* On the loop. */

static void begin(struct cp_runtime_output *output);

static void finish(struct cp_runtime_output *output)
{
	void (*closed)(void *userdata) = output->closed;
	void *userdata = output->closed_userdata;

	sn_closep(&output->fd);
	free(output->path);
	free(output);
	closed(userdata);
}

static void worked(uv_work_t *request, int status)
{
	struct cp_runtime_output *output = request->data;
	struct cp_runtime_output_stats *stats = &output->stats;

	(void)status;
	output->is_working = false;
	if (output->done.error != 0 && stats->error != output->done.error)
		sn_log(SN_LOG_ERROR,
		       "runtime file=%s error='%s': events are missing in it "
		       "until it can be written",
		       output->path, strerror(-output->done.error));
	stats->n_written += output->done.n_written;
	stats->n_dropped += output->done.n_dropped;
	stats->n_bytes += output->done.n_bytes;
	stats->error = output->done.error;
	begin(output);
}

static void begin(struct cp_runtime_output *output)
{
	if (output->is_working)
		return;
	if (STAILQ_EMPTY(&output->queue)) {
		if (output->is_closing)
			finish(output);
		return;
	}
	STAILQ_INIT(&output->taken);
	STAILQ_CONCAT(&output->taken, &output->queue);
	output->n_queued = 0;
	output->n_missing += output->n_overflowed;
	output->n_overflowed = 0;
	output->done = (struct cp_runtime_output_stats){ .error = 0 };
	output->work.data = output;
	output->is_working = true;
	if (uv_queue_work(output->loop, &output->work, work, worked) < 0) {
		work(&output->work);
		worked(&output->work, 0);
	}
}

int cp_runtime_output_new(struct cp_runtime_output **ret,
			  const struct cp_runtime_output_options *options)
{
	struct cp_runtime_output *output = calloc(1, sizeof(*output));

	if (!output)
		return -ENOMEM;
	output->path = strdup(options->path);
	if (!output->path) {
		free(output);
		return -ENOMEM;
	}
	output->loop = options->loop;
	output->max_bytes = options->max_bytes;
	output->n_files = options->n_files;
	output->fd = -1;
	STAILQ_INIT(&output->queue);
	*ret = output;
	return 0;
}

void cp_runtime_output_close(struct cp_runtime_output *output,
			     void (*closed)(void *userdata), void *userdata)
{
	output->is_closing = true;
	output->closed = closed;
	output->closed_userdata = userdata;
	begin(output);
}

void cp_runtime_output_put(struct cp_runtime_output *output,
			   const struct cp_runtime_stored *event)
{
	size_t size = sizeof(struct line) + event->size;
	struct line *line = NULL;

	if (output->n_queued + size <= CP_RUNTIME_OUTPUT_QUEUE_BYTES)
		line = malloc(size);
	if (!line) {
		output->stats.n_dropped++;
		output->n_overflowed += event->n;
		return;
	}
	line->n = event->n;
	line->size = event->size;
	(void)memcpy(line->bytes, event->bytes, event->size);
	STAILQ_INSERT_TAIL(&output->queue, line, link);
	output->n_queued += size;
	begin(output);
}

void cp_runtime_output_get_stats(const struct cp_runtime_output *output,
				 struct cp_runtime_output_stats *ret)
{
	*ret = output->stats;
}
