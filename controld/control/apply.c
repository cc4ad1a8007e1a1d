/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/control/apply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/control/internal.h"
#include "controld/control/session.h"
#include "controld/control/subscribe.h"
#include "shared/log.h"

/* A large command on its way through the worker. */
struct cp_control_decoding {
	struct cp_control *control;
	struct cp_control_command command;
	struct sn_diag diag;
	int r;
	bool was_synced; /* when it came */
	size_t max_bytes;
	size_t max_rules;
	size_t size;
	uint8_t data[];
};

/* A command that the manager has. */
struct running {
	struct cp_control *control;
	char command_id[CP_CONTROL_COMMAND_ID_BYTES];
	char id[CP_ATTACH_ID_CHARS + 1];
	bool is_first_word;
	size_t size; /* of its message */
};

static uint64_t revision_of(struct cp_control *control, const char *id)
{
	const struct cp_attach_item *item =
		cp_attach_get(control->options.manager, id);

	return item ? cp_attach_remote_revision(item) : 0;
}

static void log_result(const struct cp_control_report_result *result)
{
	const char *id = result->id[0] ? result->id : "-";
	unsigned long long revision = result->revision;

	if (result->error)
		sn_log(SN_LOG_WARNING,
		       "audit control command='%s' id=%s revision=%llu "
		       "result=refused reason='%s'",
		       result->command_id, id, revision, result->error);
	else if (result->is_repeated)
		sn_log(SN_LOG_INFO,
		       "audit control command='%s' id=%s revision=%llu "
		       "result=repeated",
		       result->command_id, id, revision);
	else
		sn_log_change("audit control command='%s' id=%s revision=%llu "
			      "result=OK",
			      result->command_id, id, revision);
}

static void put_result(struct cp_control *control,
		       const struct cp_control_report_result *result)
{
	if (result->error)
		control->n_refused++;
	log_result(result);
	cp_control_report_result(control->queue, result);
	cp_control_session_send(control);
}

static void refuse(struct cp_control *control,
		   const struct cp_control_command *command,
		   const struct sn_diag *diag)
{
	char text[sizeof(diag->field) + sizeof(diag->text) + 4];
	struct cp_control_report_result result = {
		.command_id = command->command_id,
		.id = command->id,
		.error = text,
		.revision = revision_of(control, command->id),
	};

	(void)snprintf(text, sizeof(text), "%s%s%s", diag->field,
		       diag->field[0] ? ": " : "", diag->text);
	put_result(control, &result);
}

static void done(void *userdata, const struct cp_attach_result *result)
{
	struct running *running = userdata;
	struct cp_control *control = running->control;
	struct cp_control_command command = { .id = "" };
	struct cp_control_report_result report = {
		.command_id = running->command_id,
		.id = running->id,
		.revision = result->revision,
		.is_repeated = result->is_repeated,
	};

	control->n_running--;
	control->running_bytes -= running->size;
	if (result->code == CP_ATTACH_CODE_OK) {
		put_result(control, &report);
	} else {
		(void)memcpy(command.command_id, running->command_id,
			     sizeof(command.command_id));
		(void)memcpy(command.id, running->id, sizeof(command.id));
		refuse(control, &command, &result->diag);
	}
	if (running->is_first_word && !control->is_stopping)
		cp_control_subscribe_end(control, running->id,
					 result->code == CP_ATTACH_CODE_OK &&
						 !result->is_repeated);
	free(running);
	cp_control_session_receive(control);
}

static int submit(struct cp_control *control,
		  struct cp_control_command *command)
{
	struct running *running = calloc(1, sizeof(*running));
	int r;

	if (!running)
		return sn_trace(-ENOMEM);
	running->control = control;
	running->is_first_word = command->is_first_word;
	running->size = command->size;
	(void)memcpy(running->command_id, command->command_id,
		     sizeof(running->command_id));
	(void)memcpy(running->id, command->id, sizeof(running->id));
	r = cp_attach_remote_submit(control->options.manager, &command->change,
				    done, running);
	if (r < 0) {
		free(running);
		return r;
	}
	control->n_running++;
	control->running_bytes += running->size;
	if (command->is_first_word)
		cp_control_subscribe_begin(control, command->id);
	return 0;
}

static void acknowledge(struct cp_control *control,
			struct cp_control_command *command)
{
	struct cp_control_report_result result = {
		.command_id = command->command_id,
		.id = "",
	};

	result.error = cp_control_session_ack(control);
	put_result(control, &result);
}

/* r: of cp_control_command_read(). Takes what the command has. */
static void handle(struct cp_control *control, int r, bool was_synced,
		   struct cp_control_command *command, struct sn_diag *diag)
{
	control->n_commands++;
	if (r == 0 && command->is_sync_ack) {
		acknowledge(control, command);
		return;
	}
	if (r == 0 && !was_synced) {
		sn_diag_set(diag, NULL, "a sync_ack must come before it");
		r = CP_CONTROL_COMMAND_E_REFUSED;
	}
	if (r == 0) {
		r = submit(control, command);
		if (r == -ENOBUFS)
			sn_diag_set(diag, NULL, "too many changes wait");
	}
	if (r < 0 && r != -ENOBUFS)
		sn_diag_set(diag, NULL, "%s", strerror(-r));
	if (r)
		refuse(control, command, diag);
	cp_control_command_done(command);
}

static void decode(uv_work_t *work)
{
	struct cp_control_decoding *decoding = work->data;

	decoding->r = cp_control_command_read(
		decoding->data, decoding->size, decoding->max_bytes,
		decoding->max_rules, &decoding->command, &decoding->diag);
}

static void decoded(uv_work_t *work, int status)
{
	struct cp_control_decoding *decoding = work->data;
	struct cp_control *control = decoding->control;

	(void)status;
	control->decoding = NULL;
	if (control->is_stopping) {
		cp_control_command_done(&decoding->command);
		free(decoding);
		cp_control_part_closed(control);
		return;
	}
	handle(control, decoding->r, decoding->was_synced, &decoding->command,
	       &decoding->diag);
	free(decoding);
	cp_control_session_receive(control);
}

static int start_decoding(struct cp_control *control, const void *data,
			  size_t size)
{
	struct cp_control_decoding *decoding;
	int r;

	decoding = malloc(sizeof(*decoding) + size);
	if (!decoding)
		return sn_trace(-ENOMEM);
	*decoding = (struct cp_control_decoding){
		.control = control,
		.was_synced = control->state == CP_CONTROL_STATE_SYNCED,
		.max_bytes = control->options.max_message_bytes,
		.max_rules = control->options.max_rules,
		.size = size,
	};
	(void)memcpy(decoding->data, data, size);
	control->work.data = decoding;
	r = uv_queue_work(control->options.loop, &control->work, decode,
			  decoded);
	if (r < 0) {
		free(decoding);
		return sn_trace(r);
	}
	control->decoding = decoding;
	return 0;
}

void cp_control_apply_message(struct cp_control *control, const void *data,
			      size_t size)
{
	struct cp_control_command command;
	struct sn_diag diag = { 0 };
	int r;

	if (size > CP_CONTROL_INLINE_BYTES &&
	    start_decoding(control, data, size) == 0)
		return;
	r = cp_control_command_read(data, size,
				    control->options.max_message_bytes,
				    control->options.max_rules, &command,
				    &diag);
	handle(control, r, control->state == CP_CONTROL_STATE_SYNCED, &command,
	       &diag);
	cp_control_session_receive(control);
}
