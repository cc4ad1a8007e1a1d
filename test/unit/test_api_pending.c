/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/pending.h"

#include <grpc/status.h>

#include "controld/rpc/transport.h"
#include "shared/log.h"
#include "test/unit/t.h"

enum { MANY = SN_LOG_BURST + 5, LINE_BYTES = 256 };

static unsigned int n_failed, n_replied;
static int code;

static void note_failure(struct cp_rpc_call *call, int status, const char *text)
{
	(void)call;
	t_not_null(text);
	code = status;
	n_failed++;
}

static void reply(struct cp_rpc_call *call,
		  const struct cp_attach_result *result)
{
	(void)call;
	t_str_eq(result->id, "");
	n_replied++;
}

static const struct cp_rpc_transport transport = {
	.fail = note_failure,
};

static void refuse(struct cp_api *api)
{
	struct cp_rpc_call call = { .transport = &transport,
				    .name = "ci",
				    .peer = { .pid = -1 } };

	t_null(cp_api_pending_begin(api, &call, "SetMode", "no id", reply));
	t_null(call.data);
}

static void finish(struct cp_api *api, enum cp_attach_code result_code)
{
	struct cp_rpc_call call = { .transport = &transport, .name = "ci" };
	struct cp_attach_result result = { .code = result_code };
	struct cp_api_pending *pending =
		cp_api_pending_begin(api, &call, "SetMode",
				     "00112233445566778899aabbccddeeff", reply);

	t_not_null(pending);
	sn_diag_set(&result.diag, NULL, "why");
	cp_api_pending_done(pending, &result);
}

/* How many lines have the text. */
static unsigned int count(FILE *file, const char *text)
{
	char line[LINE_BYTES];
	unsigned int n = 0;

	rewind(file);
	while (fgets(line, sizeof(line), file))
		n += strstr(line, text) != NULL;
	return n;
}

/* Who may ask may be refused as often as it likes; the log is not its to
 * fill. */
static void refused_changes_are_limited_in_the_log_and_made_ones_are_not(void)
{
	struct cp_api api = { 0 };
	FILE *file = tmpfile();

	t_not_null(file);
	t_eq(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
	for (unsigned int i = 0; i < MANY; i++)
		refuse(&api);
	t_eq(n_failed, MANY);
	t_eq(code, GRPC_STATUS_INVALID_ARGUMENT);
	finish(&api, CP_ATTACH_CODE_NOT_FOUND);
	t_eq(code, GRPC_STATUS_NOT_FOUND);
	for (unsigned int i = 0; i < MANY; i++)
		finish(&api, CP_ATTACH_CODE_OK);
	t_eq(n_replied, MANY);
	t_eq(sn_log_count_suppressed(), MANY + 1 - SN_LOG_BURST);
	t_eq(count(file, "audit method=SetMode caller=ci id=- "
			 "result=INVALID_ARGUMENT reason='id: must be"),
	     SN_LOG_BURST);
	t_eq(count(file, "audit method=SetMode caller=ci "
			 "id=00112233445566778899aabbccddeeff result=OK\n"),
	     MANY);
	(void)fclose(file);
}

T_MAIN("api_pending",
       refused_changes_are_limited_in_the_log_and_made_ones_are_not)
