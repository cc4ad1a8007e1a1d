/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Stands in for the kernel's types: what bpf/lib uses of them is also in the
 * kernel's user-space headers. */

#include <linux/bpf.h>
#include <linux/types.h>
#include <stddef.h>
