/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/runtime_status.h"

#include <errno.h>

#include "test/unit/t.h"

#define FULL	    SENTINEL__V1__FEATURE_STATE__FEATURE_STATE_FULL
#define PARTIAL	    SENTINEL__V1__FEATURE_STATE__FEATURE_STATE_PARTIAL
#define UNSUPPORTED SENTINEL__V1__FEATURE_STATE__FEATURE_STATE_UNSUPPORTED

static char reason[CP_API_RUNTIME_STATUS_REASON_BYTES];

static struct sn_ipc_hello_answer new_hello(void)
{
	struct sn_ipc_hello_answer hello = { .runtime = 1, .tracefs = 1 };

	hello.program_error[SN_PROGRAM_RT_COMPAT] = ECANCELED;
	return hello;
}

static Sentinel__V1__FeatureState judge(const struct sn_ipc_hello_answer *hello,
					enum sn_rt_event event)
{
	return cp_api_runtime_status_judge(hello, event, reason);
}

static void both_ways_are_told_with_how_exact_they_are(void)
{
	struct sn_ipc_hello_answer hello = new_hello();

	t_eq(judge(&hello, SN_RT_EVENT_FILE_UNLINK), PARTIAL);
	t_str_eq(reason,
		 "fexit: exact; what fails before is told by tracepoint; "
		 "tracepoint: the string that was passed, read when the call "
		 "returns; not by io_uring");
	t_eq(judge(&hello, SN_RT_EVENT_PROCESS_FORK), FULL);
	t_str_eq(reason, "");
}

static void refused_functions_take_nothing_from_tracepoints(void)
{
	struct sn_ipc_hello_answer hello = new_hello();

	hello.program_error[SN_PROGRAM_RT_BEFORE_UNLINK] = EPERM;
	t_eq(judge(&hello, SN_RT_EVENT_FILE_UNLINK), PARTIAL);
	t_str_eq(reason, "best effort: the string that was passed, read when "
			 "the call returns; not by io_uring");
}

static void rings_are_told_by_the_function_or_by_their_completion(void)
{
	struct sn_ipc_hello_answer hello = new_hello();

	t_eq(judge(&hello, SN_RT_EVENT_FILE_OPEN), PARTIAL);
	t_true(strstr(reason, "fexit: exact for 32-bit callers and io_uring"));
	t_null(strstr(reason, "by io_uring:"));
	hello.program_error[SN_PROGRAM_RT_DENIED_OPEN] = EPERM;
	hello.program_error[SN_PROGRAM_RT_DONE_OPEN] = EPERM;
	t_eq(judge(&hello, SN_RT_EVENT_FILE_OPEN), PARTIAL);
	t_str_eq(reason,
		 "best effort: the file that the descriptor names when "
		 "the call returns; a failed call: the string that was "
		 "passed, read then; by io_uring: the file that the "
		 "descriptor names at completion; not failures, fixed "
		 "files, or where completions are left out or find no room");
}

static void functions_go_on_without_tracefs(void)
{
	struct sn_ipc_hello_answer hello = new_hello();

	hello.tracefs = 0;
	t_eq(judge(&hello, SN_RT_EVENT_FILE_UNLINK), PARTIAL);
	t_str_eq(reason, "unlinkat: no tracefs was mounted when sentinel-dp "
			 "started");
	hello.program_error[SN_PROGRAM_RT_BEFORE_UNLINK] = EPERM;
	hello.program_error[SN_PROGRAM_RT_DONE_UNLINK] = EPERM;
	hello.program_error[SN_PROGRAM_RT_BEFORE_RMDIR] = EPERM;
	hello.program_error[SN_PROGRAM_RT_DONE_RMDIR] = EPERM;
	t_eq(judge(&hello, SN_RT_EVENT_FILE_UNLINK), UNSUPPORTED);
}

static void calls_of_32_bits_take_nothing_and_go_on_alone(void)
{
	struct sn_ipc_hello_answer hello = new_hello();

	hello.program_error[SN_PROGRAM_RT_COMPAT] = 0;
	t_eq(judge(&hello, SN_RT_EVENT_NET_BIND), PARTIAL);
	t_str_eq(reason, "best effort: the socket that the descriptor names "
			 "when the call returns; a failed call: the address "
			 "that was passed, read then; by io_uring: the socket "
			 "at completion, of a failure without the address; not "
			 "where completions are left out or find no room");
	hello.tracefs = 0;
	t_eq(judge(&hello, SN_RT_EVENT_NET_BIND), PARTIAL);
	t_str_eq(reason, "bind: no tracefs was mounted when sentinel-dp "
			 "started");
	hello.program_error[SN_PROGRAM_RT_COMPAT] = ECANCELED;
	hello.program_error[SN_PROGRAM_RT_URING_NET] = ENOENT;
	t_eq(judge(&hello, SN_RT_EVENT_NET_BIND), UNSUPPORTED);
}

static void every_reason_has_room(void)
{
	struct sn_ipc_hello_answer hello = new_hello();

	for (int i = SN_RT_EVENT_NONE + 1; i < SN_RT_EVENT_COUNT; i++) {
		(void)judge(&hello, (enum sn_rt_event)i);
		t_true(strlen(reason) + 1 < sizeof(reason));
	}
}

T_MAIN("api_runtime_status", both_ways_are_told_with_how_exact_they_are,
       refused_functions_take_nothing_from_tracepoints,
       rings_are_told_by_the_function_or_by_their_completion,
       functions_go_on_without_tracefs,
       calls_of_32_bits_take_nothing_and_go_on_alone, every_reason_has_room)
