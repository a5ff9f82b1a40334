/*
 * service/audit.h: the lines of the log that say who did what to the server, and whom it sent away.
 * They are written at every log level.
 */
#ifndef SERVICE_AUDIT_H
#define SERVICE_AUDIT_H

struct exchange;

/* To be called once the answer of `exchange` is settled. A line if it asked for something under
 * /admin, whatever came of it, or if a token was refused. Also counts who was not let in. */
void audit_exchange(struct exchange *exchange);

#endif
