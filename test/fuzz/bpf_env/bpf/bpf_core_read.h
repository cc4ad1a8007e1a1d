/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* bpf/lib reads no kernel structure; only task.bpf.c does. */
