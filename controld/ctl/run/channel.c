// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/run/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "shared/util.h"

int cp_ctl_run_channel_send(int fd, enum cp_ctl_run_channel_kind kind,
			    const char *text)
{
	size_t left = strlen(text);

	do {
		struct cp_ctl_run_channel_record record = { .kind = kind };
		size_t n = SN_MIN(left, (size_t)CP_CTL_RUN_CHANNEL_BYTES);

		(void)memcpy(record.text, text, n);
		if (send(fd, &record,
			 offsetof(struct cp_ctl_run_channel_record, text) + n,
			 MSG_NOSIGNAL) < 0)
			return -errno;
		text += n;
		left -= n;
	} while (left);
	return 0;
}

int cp_ctl_run_channel_receive(int fd, struct cp_ctl_run_channel_record *ret)
{
	const size_t head = offsetof(struct cp_ctl_run_channel_record, text);
	ssize_t n;

	do {
		n = recv(fd, ret, head + CP_CTL_RUN_CHANNEL_BYTES, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno != ECONNRESET)
		return -errno;
	if (n < (ssize_t)head) {
		ret->kind = CP_CTL_RUN_CHANNEL_NONE;
		n = (ssize_t)head;
	}
	ret->text[(size_t)n - head] = '\0';
	return 0;
}
