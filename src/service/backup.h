/* service/backup.h: copies of the store that is in use, by POST /admin/backup. */
#ifndef SERVICE_BACKUP_H
#define SERVICE_BACKUP_H

#include "service/router.h"

extern const struct route backup_route;

#endif
