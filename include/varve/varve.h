/* varve/varve.h: everything. An ordered, durable key-value store; start at varve/db.h. */
#ifndef VARVE_VARVE_H
#define VARVE_VARVE_H

#include <varve/batch.h>
#include <varve/db.h>
#include <varve/iterator.h>
#include <varve/options.h>
#include <varve/slice.h>
#include <varve/status.h>

#endif
