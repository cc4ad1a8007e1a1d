/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Commands of the control plane, read whole or refused whole. Pure, so that a
 * worker can do it and a fuzzer can try it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controld/attach/remote.h"
#include "shared/diag.h"

enum {
	CP_CONTROL_COMMAND_ID_BYTES = 129, /* NUL included */
};

/* Answers of cp_control_command_read() besides 0 and -ENOMEM. */
enum {
	/* diag has field and text; the ids of *ret are set as far as they
	 * could be read, so that the refusal can be answered. */
	CP_CONTROL_COMMAND_E_REFUSED = 1,
};

struct cp_control_command {
	char command_id[CP_CONTROL_COMMAND_ID_BYTES];
	char id[CP_ATTACH_ID_CHARS + 1];
	size_t size; /* of the message */
	bool is_sync_ack; /* else change says what it is */
	/* It decides what a new attachment opens with. */
	bool is_first_word;
	struct cp_attach_remote_change change;
};

/* Reads a packed sentinel.v1.ControlCommand. max_bytes: of it; max_rules: of
 * one policy. */
int cp_control_command_read(const void *data, size_t size, size_t max_bytes,
			    size_t max_rules, struct cp_control_command *ret,
			    struct sn_diag *diag);
/* Frees what the command still has. */
void cp_control_command_done(struct cp_control_command *command);
