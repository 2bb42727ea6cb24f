/*
 * commands.h - the functions behind the rows of the command table. Each returns
 * the exit status: 0 done, 1 failed, 2 usage; what failed is reported by then.
 */
#ifndef POOLBRIDGE_CTL_COMMANDS_H
#define POOLBRIDGE_CTL_COMMANDS_H

struct ctl;

int cmd_domain_add(struct ctl *ctl);
int cmd_domain_set(struct ctl *ctl);
int cmd_domain_list(struct ctl *ctl);
int cmd_domain_show(struct ctl *ctl);
int cmd_domain_remove(struct ctl *ctl);

int cmd_partner_add(struct ctl *ctl);
int cmd_partner_set(struct ctl *ctl);
int cmd_partner_list(struct ctl *ctl);
int cmd_partner_show(struct ctl *ctl);
int cmd_partner_remove(struct ctl *ctl);
int cmd_partner_import(struct ctl *ctl);
int cmd_partner_export(struct ctl *ctl);

int cmd_user_mark(struct ctl *ctl);
int cmd_user_access(struct ctl *ctl);
int cmd_user_list(struct ctl *ctl);
int cmd_user_show(struct ctl *ctl);
int cmd_user_remove(struct ctl *ctl);
int cmd_user_import(struct ctl *ctl);
int cmd_user_export(struct ctl *ctl);
int cmd_user_erase(struct ctl *ctl);

int cmd_route_explain(struct ctl *ctl);

int cmd_audit_list(struct ctl *ctl);
int cmd_audit_undo(struct ctl *ctl);

int cmd_subscription_list(struct ctl *ctl);

int cmd_spool_list(struct ctl *ctl);
int cmd_spool_show(struct ctl *ctl);
int cmd_spool_retry(struct ctl *ctl);
int cmd_spool_bounce(struct ctl *ctl);

int cmd_status(struct ctl *ctl);
int cmd_streams(struct ctl *ctl);
int cmd_check_partner(struct ctl *ctl);

#endif
