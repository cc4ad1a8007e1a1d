/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The kernel's ring of runtime events: a bounded number in each turn of the
 * loop, judged again, and told. */

#include "controld/runtime/internal.h"

/* Replaces the one before; -errno: there is none then. The ring that is read
 * already stays as it is, with what observers hold of it. */
int cp_runtime_reader_open(struct cp_runtime *runtime, int fd, uint32_t bytes);
/* After a last reading. */
void cp_runtime_reader_close(struct cp_runtime *runtime);
/* An observer holds less of the ring. */
void cp_runtime_reader_release(struct cp_runtime *runtime);
/* Where the record at hand begins in the ring; 0: there is no ring. */
uint64_t cp_runtime_reader_position(const struct cp_runtime *runtime);
/* Reads all that is there now; nothing behind the end. */
void cp_runtime_reader_drain(struct cp_runtime *runtime);
/* And nothing more. What observers hold stays in the ring until it is closed, by
 * when they have it elsewhere. */
void cp_runtime_reader_end(struct cp_runtime *runtime);
