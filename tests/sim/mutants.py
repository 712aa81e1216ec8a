#!/usr/bin/env python3
"""Plants faults, one at a time, and asks that the simulator finds each.

Usage: tests/sim/mutants.py [NAME ...]      MAKE, CC and MUTANT_SEEDS (6000) from the environment
       tests/sim/mutants.py --check         only that each piece is found

A rule of the algorithm that no seed needs is a rule that nobody tests. Each entry names a file and
replaces a piece of it; the simulator of that copy must fail within MUTANT_SEEDS seeds, or the unit
test that is named. The copy is built in build/mutants and thrown away. The exit code is 1 when a
mutant survives or a piece is not found any more.
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
COPY = ROOT / "build" / "mutants"
SIMULATOR = "hearsay-sim"
SEEDS = int(os.environ.get("MUTANT_SEEDS", "6000"))
TIMEOUT_S = 1800

# name: (file, what is there, what it becomes[, a unit test])
#
# Faults that take several rare things at once are not found in so many seeds every time the
# simulator changes: for those the unit test is named that must fail.
MEMBERSHIP = "unit/replica/test_membership"
MUTANTS = {
    "a read does not wait for the session's token": (
        "replica/core/intake.c",
        "if (!vec_covers(&self->applied, &session->token) || stability_has_left(self, session))",
        "if (false)",
    ),
    "reads wait for what was received only": (
        "replica/core/intake.c",
        "    if (!vec_covers(&self->applied, &session->token) || stability_has_left(self, session))",
        "    vec_t received = {0};\n"
        "    vec_copy(&received, &self->applied);\n"
        "    for (uint64_t o = 0; (o = holdback_next_origin(self->holdback, o)) != 0;)\n"
        "        vec_raise(&received, o,\n"
        "                  holdback_contiguous(self->holdback, o, vec_get(&self->applied, o)));\n"
        "    bool is_received = vec_covers(&received, &session->token);\n"
        "    vec_free(&received);\n"
        "    if (command->is_update ? !vec_covers(&self->applied, &session->token)\n"
        "                           : !is_received)",
    ),
    "the token is not merged on a read": (
        "replica/core/intake.c",
        "see(self, session, &self->seen.dots);",
        "if (command->is_update)\n        see(self, session, &self->seen.dots);",
    ),
    "an update's answer does not count as a read": (
        "replica/core/intake.c",
        "see(self, session, &self->seen.dots);",
        "if (!command->is_update)\n        see(self, session, &self->seen.dots);",
    ),
    "an own delete is not in the token": (
        "replica/core/intake.c",
        "    vec_raise(&session->token, own, record->n);\n"
        "    vec_raise(&self->difference, own, record->n);\n",
        "    if (request->command != COMMAND_DEL && request->command != COMMAND_HDEL) {\n"
        "        vec_raise(&session->token, own, record->n);\n"
        "        vec_raise(&self->difference, own, record->n);\n"
        "    }\n",
    ),
    "mget does not count as a read": (
        "replica/core/commands.c",
        "        put_view(&self->value, &view);\n    }\n    return OUTCOME_OK;\n",
        "        put_view(&self->value, &view);\n    }\n    seen_reset(&self->seen);\n"
        "    return OUTCOME_OK;\n",
    ),
    "the last operation of an update comes with the next update": (
        "replica/core/replica.c",
        "    for (uint32_t i = 0; i < count && op_read(&ops, &op); i++) {\n"
        "        uint64_t lost_to",
        "    static struct last {\n"
        "        uint64_t of;\n"
        "        mark_t mark;\n"
        "        char text[64];\n"
        "    } lasts[8];\n"
        "    struct last *last = &lasts[self->config.id % 8];\n"
        "    if (last->of == self->config.incarnation) {\n"
        "        op = (op_t){OP_SET, .key = slice_text(\"q\"), .value = slice_text(last->text)};\n"
        "        store_apply(self->store, &op, &last->mark);\n"
        "    }\n"
        "    last->of = 0;\n"
        "    for (uint32_t i = 0; i < count && op_read(&ops, &op); i++) {\n"
        "        if (i == 1 && op.code == OP_SET && slice_equal(op.key, slice_text(\"q\"))) {\n"
        "            snprintf(last->text, sizeof last->text, \"%.*s\", (int)op.value.size,\n"
        "                     (const char *)op.value.data);\n"
        "            last->mark = mark;\n"
        "            last->of = self->config.incarnation;\n"
        "            continue;\n"
        "        }\n"
        "        uint64_t lost_to",
    ),
    "a scan has seen no more than other reads": (
        "replica/core/commands.c",
        "    vec_merge(&self->seen.dots, &self->applied);\n",
        "",
    ),
    "a scan leaves out what found no room at its place": (
        "replica/core/table.c",
        "        if (hash < from || has_wrapped != (at >= end))",
        "        if (hash < from || has_wrapped)",
    ),
    "a deadline is no part of what is read": (
        "replica/core/store_read.c",
        "    for (uint32_t i = 0; all != NULL && i < all->size; i++)\n        seen_mark(",
        "    for (uint32_t i = 0; false && i < all->size; i++)\n        seen_mark(",
        "unit/replica/test_store",
    ),
    "who finds no field has not seen that its key was deleted": (
        "replica/core/store_read.c",
        "    if (cell == NULL) {\n        seen_mark(seen, &kill);\n",
        "    if (cell == NULL) {\n        (void)kill;\n",
    ),
    "smembers has seen what is there, not what is gone": (
        "replica/core/store_read.c",
        "        cell_see(&field->cell, &kill, seen);\n"
        "        if (cell_view_above(&field->cell, expired).is_there)\n",
        "        if (cell_view_above(&field->cell, expired).is_there)\n"
        "            cell_see(&field->cell, &kill, seen);\n"
        "        if (cell_view_above(&field->cell, expired).is_there)\n",
    ),
    "a deadline outlives the next one": (
        "replica/core/store.c",
        "        bool is_replaced = i + 1 < all->size && ",
        "        bool is_replaced = false && i + 1 < all->size && ",
    ),
    "a deadline outlives a set": (
        "replica/core/store.c",
        "    if (op->code == OP_SET)\n        clear_expiries(",
        "    if (false)\n        clear_expiries(",
    ),
    "a deadline passes early": (
        "replica/core/store.c",
        "if (deadline != 0 && deadline <= clock && !is_replaced)",
        "if (deadline != 0 && deadline <= hlc_add_ms(clock, 300) && !is_replaced)",
    ),
    "reads look at deadlines with the clock of the last update": (
        "replica/core/commands.c",
        "    store_set_clock(self->store, replica_clock(self));\n    outcome_t",
        "    if (command_by_code(run->request->command)->is_update)\n"
        "        store_set_clock(self->store, replica_clock(self));\n    outcome_t",
    ),
    "a session that moves does not bring its clock": (
        "replica/core/intake.c",
        "    replica_clock_raise(self, session->clock);\n",
        "",
    ),
    "a clock that is too far ahead is forgotten": (
        "replica/core/session.c",
        "        session->clock = hello.clock;\n",
        "",
        "unit/replica/test_replica",
    ),
    "a token that is taken over comes without its clock": (
        "client/core/client.c",
        "    session->token.clock = hlc_max(session->token.clock, token->clock);\n"
        "    if (session->token.lineage == 0)",
        "    if (session->token.lineage == 0)",
        "unit/client/test_client",
    ),
    "records are applied without what they depend on": (
        "replica/core/gossip.c",
        "if (n == applied + 1 && vec_covers(&self->applied, &record->deps)) {",
        "if (n == applied + 1) {",
    ),
    "updates of one origin are applied in any order": (
        "replica/core/gossip.c",
        "if (n == applied + 1 && vec_covers(&self->applied, &record->deps)) {",
        "if (vec_covers(&self->applied, &record->deps)) {",
    ),
    "a second copy is not counted": (
        "replica/core/replica.c",
        "    executed_add(self->executed, record->tag, dot, record->result, &record->deps);\n"
        "    executed_raise_floor(self->executed, record->tag.client, record->floor);\n"
        "    vec_raise(&self->applied, record->origin, record->n);\n",
        "    executed_hit_t hit;\n"
        "    bool is_copy = executed_find(self->executed, record->tag.client, record->tag.seq,\n"
        "                                 &hit) == EXECUTED_HIT;\n"
        "    executed_add(self->executed, record->tag, dot, record->result, &record->deps);\n"
        "    executed_raise_floor(self->executed, record->tag.client, record->floor);\n"
        "    if (!is_copy)\n"
        "        vec_raise(&self->applied, record->origin, record->n);\n",
    ),
    "what follows a retry does not depend on its first copy": (
        "replica/core/intake.c",
        "    if (vec_raise(&session->token, hit.dot.incarnation, hit.dot.count))\n        vec_raise",
        "    if (true)\n        vec_raise",
    ),
    "the executed table is not asked": (
        "replica/core/intake.c",
        "if (command->is_update && answer_from_table(self, session, request))",
        "if (false)",
    ),
    "an answer is told again whatever was seen since": (
        "replica/core/intake.c",
        "if (!is_up_to_date(self, session, &hit)) {",
        "if (false) {",
        "unit/replica/test_replica",
    ),
    "one tag for all operations of a record": (
        "replica/core/replica.c",
        "        mark.tag.hlc++;\n",
        "",
    ),
    "a type change is booked by arrival": (
        "replica/core/store.c",
        "            entry_prune(entry, other, mark->tag);",
        "            entry_prune(entry, other, (tag_t){UINT64_MAX, 0, 0});",
    ),
    "a tombstone is dropped at once": (
        "replica/core/store.c",
        "    entry->kills->deleted = greater(entry->kills->deleted, *mark);",
        "    entry->kills->deleted = (mark_t){0};",
    ),
    "increments are folded at once": (
        "replica/core/cell.c",
        "fold < all->size && mark_is_stable(&all->list[fold].mark, stable))",
        "fold < all->size)",
    ),
    "replies leave before the log is written": (
        "replica/core/replica.c",
        "    memmove(self->effects + 1, self->effects, (self->effects_size - 1) * sizeof append);\n"
        "    self->effects[0] = append;",
        "    (void)append;",
    ),
    "replies do not wait for the disk": (
        "replica/core/session.c",
        "if (held->position > self->synced_to)",
        "if (false)",
    ),
    "an ack speaks of what was received only": (
        "replica/core/gossip.c",
        "        uint64_t has = vec_get(gossip_vector(self), peer->incarnation);\n"
        "        if (peer->owed <= peer->told || has <= peer->told || !gossip_may_with(self, peer))\n"
        "            continue;\n"
        "        peer->told = has;\n"
        "        size_t offset = self->arena.size;\n"
        "        peer_ack_put(&self->arena, self->config.incarnation,\n"
        "                     stability_wire(self, gossip_vector(self)));\n",
        "        uint64_t has = vec_get(gossip_vector(self), peer->incarnation);\n"
        "        uint64_t held = holdback_greatest(self->holdback, peer->incarnation);\n"
        "        has = held > has ? held : has;\n"
        "        if (peer->owed <= peer->told || has <= peer->told || !gossip_may_with(self, peer))\n"
        "            continue;\n"
        "        peer->told = has;\n"
        "        size_t offset = self->arena.size;\n"
        "        vec_copy(&self->vector, stability_wire(self, gossip_vector(self)));\n"
        "        vec_raise(&self->vector, peer->incarnation, has);\n"
        "        peer_ack_put(&self->arena, self->config.incarnation, &self->vector);\n",
    ),
    "copies are counted that nobody has": (
        "replica/core/gossip.c",
        "copies += vec_get(&self->peers[i].vector, dot.incarnation) >= dot.count;",
        "copies += 1;",
    ),
    "a clock that stands still": (
        "replica/core/replica.c",
        "    if (past > self->clock)\n        self->clock = past;",
        "",
    ),
    "an incarnation is kept over a restart": (
        "tests/sim/world_nodes.c",
        "    p->incarnation = random_u64(&w->random) | 1;",
        "    if (p->incarnation == 0)\n        p->incarnation = random_u64(&w->random) | 1;",
    ),
    "the horizon is the clock": (
        "replica/core/stability.c",
        "hlc_t horizon = members_horizon(self->members);",
        "hlc_t horizon = replica_clock(self);",
    ),
    "an update under the own floor is taken": (
        "replica/core/intake.c",
        "if (command->is_update && request->hlc <= self->floor) {",
        "if (false) {",
    ),
    "a start forgets the floor": (
        "replica/core/replica.c",
        "        stability_raise_floor(self, value);\n        return true;",
        "        return true;",
    ),
    "a floor counts before its vector is covered": (
        "replica/core/members.c",
        "if (!known->pending.is_there || !vec_covers(applied, &known->pending.vector))",
        "(void)applied;\n        if (!known->pending.is_there)",
    ),
    "what was received is said to be on disk": (
        "replica/core/stability.c",
        "    vec_copy(&mark->vector, &self->applied);\n}",
        "    vec_copy(&mark->vector, &self->applied);\n"
        "    for (uint64_t o = 0; (o = holdback_next_origin(self->holdback, o)) != 0;)\n"
        "        vec_raise(&mark->vector, o,\n"
        "                  holdback_contiguous(self->holdback, o, vec_get(&self->applied, o)));\n}",
    ),
    "what is not synced is said to be on disk": (
        "replica/core/gossip.c",
        "    vec_copy(&synced, &self->synced);",
        "    vec_copy(&synced, &self->applied);",
    ),
    "a session is not told who has left": (
        "replica/core/intake.c",
        "    vec_merge(&self->difference, &self->left);\n",
        "",
        MEMBERSHIP,
    ),
    "forgotten before all know who has left": (
        "replica/core/stability.c",
        "    if (!members_agree(self->members))\n        return; /* who",
        "    if (false)\n        return; /* who",
        MEMBERSHIP,
    ),
    "a member is taken back before that is on disk": (
        "replica/core/transfer.c",
        "is_handed_in(self, &join, peer) && stability_is_on_disk(self) &&",
        "is_handed_in(self, &join, peer) &&",
        MEMBERSHIP,
    ),
    # C accepts u, B alone has it, late: B's floor passed u's tag before. C loses power and u, B is
    # cut off. A counts the floors of the new C and B's old one, and folds over u; then B is back.
    "floors count though the members are not agreed on": (
        "replica/core/members.c",
        "    return counted->is_there && counted->view == view;",
        "    return counted->is_there && (counted->view == view || true);",
    ),
    # The floor is newer than the vector said with it: an increment that S took in between is under
    # it, and whoever hears the round before the increment folds over it.
    "a floor is said before it is on disk": (
        "replica/core/gossip.c",
        "        .floor = self->said_floor,\n        .view",
        "        .floor = self->floor,\n        .view",
    ),
    # S hears no updates, but its rounds are heard. R forgets which update made a value; a new
    # session reads that at R, and then goes to S, which still has the value before.
    "forgotten by what members have received": (
        "replica/core/cell.c",
        "vec_get(stable->known, mark->dot.incarnation) >= mark->dot.count",
        "true",
        MEMBERSHIP,
    ),
    # C is started again, B lacks C's last updates and reads them slowly. A thinks C's count final
    # and leaves it out of the deps of an update that followed them: B applies that one first.
    "final counts by one member": (
        "replica/core/stability.c",
        "if (vec_get(&self->known, part->incarnation) != part->count ||",
        "if (",
    ),
    "a state is adopted without handing in": (
        "replica/core/transfer.c",
        "    if (vec_covers(&self->applied, &self->vector)) {",
        "    if (true) {",
    ),
    "a crash forgets that the node was joining": (
        "replica/core/replica.c",
        "    self->joining.logged = what;\n    self->was_damaged |=",
        "    self->was_damaged |=",
    ),
    "a newcomer that is started again has a state": (
        "replica/core/replica.c",
        "bool has_no_state = seglog_is_joining(self->joining.logged) &&",
        "bool has_no_state = false && seglog_is_joining(self->joining.logged) &&",
        MEMBERSHIP,
    ),
    "who was taken back while it wrote has left": (
        "replica/core/transfer.c",
        "        self->joining.has_left = false; /* or it has been taken back since */\n",
        "        (void)0;\n",
        MEMBERSHIP,
    ),
    "what is handed in late counts": (
        "replica/core/transfer.c",
        "if (!record_read(raw, record) || counts(self, joiner, record))",
        "if (true)",
    ),
    "what was handed in and not applied is kept": (
        "replica/core/transfer.c",
        "        stability_drop_unsure(self);\n        buf_reset(&run);",
        "        buf_reset(&run);",
        MEMBERSHIP,
    ),
    "an old folder is taken for the member's": (
        "replica/core/stability.c",
        "        bool replaced = is_replaced(self, &rows[i]);",
        "        bool replaced = false && is_replaced(self, &rows[i]);",
        MEMBERSHIP,
    ),
    "a member that nobody reckoned with comes in": (
        "replica/core/stability.c",
        "        bool is_late = comes_late(self, &rows[i]);",
        "        bool is_late = false && comes_late(self, &rows[i]);",
        MEMBERSHIP,
    ),
    "a damaged node forgets that it was joining": (
        "replica/core/replica.c",
        "            self->joining.logged = (seglog_joining_t)joining;",
        "            (void)joining;",
        "unit/replica/test_damage",
    ),
    "what was found behind damage hides that a node has left since": (
        "replica/core/replica.c",
        "        if (!self->was_damaged) /* else",
        "        if (true || self->was_damaged) /* else",
        "unit/replica/test_damage",
    ),
    "a damaged node has left when it starts again": (
        "replica/core/transfer.c",
        "                      : self->is_damaged     ? SEGLOG_JOINING_DAMAGED",
        "                      : self->is_damaged     ? SEGLOG_JOINING_LEFT",
        "unit/replica/test_damage",
    ),
    "one that does not know that it has left is taken back": (
        "replica/core/transfer.c",
        "    if (has_left && !join->has_left)\n        return false;",
        "    if (false && !join->has_left)\n        return false;",
        "unit/replica/test_damage",
    ),
    "a damaged node hands in what was before the state it had taken over": (
        "replica/core/replica.c",
        "        if (joining == SEGLOG_JOINING_ADOPTED)\n            drop_salvaged(self);\n",
        "",
        "unit/replica/test_damage",
    ),
    "what empty updates named counts as named": (
        "replica/core/transfer.c",
        "    vec_reset(&self->named); /* by some that are empty now */\n",
        "",
        MEMBERSHIP,
    ),
    "what an answer tells of is not named whole": (
        "replica/core/intake.c",
        "    if (!executed_tells_of_a_read(record->result))\n        vec_leave",
        "    vec_leave",
        "unit/replica/test_gossip",
    ),
    "what only another session has seen counts as named": (
        "replica/core/intake.c",
        "        vec_leave_out(&record->deps, &self->named);",
        "        vec_leave_out(&record->deps, &self->applied);",
    ),
    "an old copy of a folder has the floor that it says": (
        "replica/core/gossip.c",
        "    if (self->applied.size == 0 || members_has(self->members, hello.id, hello.incarnation))\n",
        "    if (self->applied.size == 0)\n",
        MEMBERSHIP,
    ),
    "the horizon outlives the state": (
        "replica/core/transfer.c",
        "    self->horizon = 0; /* it was of the state that goes now, and so was what all had of it */\n",
        "",
        MEMBERSHIP,
    ),
    "who was forgotten while it was up goes on taking in": (
        "replica/core/internal.h",
        "    return self->joining.state == JOINING_NOT && !self->is_forgotten;",
        "    return self->joining.state == JOINING_NOT;",
        MEMBERSHIP,
    ),
    "two that went on apart both stay": (
        "replica/core/stability.c",
        "        bool parted = has_parted(self, is_alone, &rows[i]);",
        "        bool parted = false && has_parted(self, is_alone, &rows[i]);",
        MEMBERSHIP,
    ),
    "who has seen what is lost is not told": (
        "replica/core/intake.c",
        "if (lost_find(&self->lost, &session->token, &lost)) {",
        "if (false) {",
    ),
    "a second donor does not wait for the first": (
        "replica/core/transfer.c",
        "    if (!members_agree_but(self->members, joiner->id))\n",
        "    if (false)\n",
        MEMBERSHIP,
    ),
    "who joins counts for a majority": (
        "replica/core/stability.c",
        "(peer != NULL && gossip_may_with(self, peer));",
        "(peer != NULL && gossip_is_at_hand(self, peer));",
        MEMBERSHIP,
    ),
    "two starts hide that the member was forgotten": (
        "replica/core/stability.c",
        "hlc_max(row.stamp, hlc_add_ms(old->stamp, 1));",
        "hlc_max(row.stamp, old->stamp + 1);",
        MEMBERSHIP,
    ),
    "a floor covers what ended in doubt": (
        "client/core/client.c",
        "        end_id(session, request->seq - 1);\n",
        "        end_id(session, UINT64_MAX);\n",
    ),
    "what is handed in twice counts the second time": (
        "replica/core/gossip.c",
        "if (members_has(self->members, peer->id, peer->incarnation) && !peer->is_joining) {",
        "if (members_has(self->members, peer->id, peer->incarnation)) {",
        MEMBERSHIP,
    ),
    "nobody asks for a sync": (
        "replica/core/stability.c",
        "    return mark->is_open && (!stability_is_on_disk(self) ||",
        "    return false && mark->is_open && (!stability_is_on_disk(self) ||",
    ),
    "a sync is asked for the members alone": (
        "replica/core/stability.c",
        "self->now.boot_ms - mark->since_ms >= self->config.retry_horizon_ms);",
        "false);",
    ),
    "two that are new go on with nothing": (
        "replica/core/transfer.c",
        "!self->is_damaged && self->applied.size != 0;",
        "!self->is_damaged;",
        MEMBERSHIP,
    ),
    "who was taken back goes on with what it had left with": (
        "replica/core/transfer.c",
        "!self->joining.has_left && !self->is_damaged",
        "!self->is_damaged",
        MEMBERSHIP,
    ),
    "who left while it wrote a state goes on with it": (
        "replica/core/transfer.c",
        "    else\n        transfer_has_left(self); /* meanwhile */\n",
        "",
        MEMBERSHIP,
    ),
    "who writes a state is not waited for": (
        "replica/core/transfer.c",
        "    if (peer->is_writing)\n        return true;\n",
        "",
        MEMBERSHIP,
    ),
    "who is new serves before it is known": (
        "replica/core/gossip.c",
        "    if (self->applied.size == 0 && (peer->vector.size != 0 || peer->is_joining))\n",
        "    if (self->applied.size == 0 && hello.has_gap)\n",
        MEMBERSHIP,
    ),
    "who joins may forget others": (
        "replica/core/stability.c",
        "if (!keeps_its_state(self))",
        "if (false)",
        MEMBERSHIP,
    ),
    "a start hides that the member was left behind": (
        "replica/core/stability.c",
        "return before != NULL ? before->stamp + 1 : replica_clock(self);",
        "(void)before;\n    return replica_clock(self);",
    ),
    "the log is cut without regard to the members": (
        "replica/core/recovery.c",
        "return position < self->checkpoint.position ? position : self->checkpoint.position;",
        "return position > self->checkpoint.position ? position : self->checkpoint.position;",
    ),
    "a snapshot that follows the changes": (
        "replica/core/store_snapshot.c",
        "        take_into(self, slot, &self->walk.early);\n",
        "        return;\n",
        "unit/replica/test_store_fold",
    ),
    "a retry gets a new tag": (
        "client/core/client.c",
        "if (request->is_update && request->hlc == 0)",
        "if (request->is_update)",
    ),
    "a read goes again in front of a doubtful update": (
        "client/core/client.c",
        "else if (is_before && !request->is_update)",
        "else if (false)",
    ),
    "a session that relaxes keeps its client id": (
        "client/core/client.c",
        "    session->moves = 0;\n    end_id(session, 0);\n",
        "    session->moves = 0;\n",
    ),
    "what is behind a RETAG keeps its stamp": (
        "client/core/client.c",
        "    if (!request->is_doubtful)\n        request->hlc = 0;\n",
        "",
    ),
    "the token of an answer is not learned": (
        "client/core/client.c",
        "        vec_merge(&session->token.seen, &self->vector);\n    clock_raise",
        "        ;\n    clock_raise",
    ),
    "a dead epoch is served": (
        "replica/core/session.c",
        "    if (session->turned_back != OUTCOME_OK) {\n"
        "        put_turned_back(self, conn, session, request, session->turned_back);\n"
        "        return;\n    }\n",
        "",
    ),
    "a log that has room again is still full": (
        "replica/core/recovery.c",
        "    if (is_full == self->log_is_full)\n        return;\n",
        "    if (is_full == self->log_is_full || !is_full)\n        return;\n",
    ),
    "damage that was found in the log stays there": (
        "replica/core/recovery.c",
        "    if (is_log)\n        recovery_void_log(self);\n",
        "    (void)is_log;\n",
    ),
    "a damaged checkpoint is not written anew": (
        "replica/core/recovery.c",
        "recovery_want_checkpoint(self, true);",
        "recovery_want_checkpoint(self, false);",
    ),
    "a checkpoint is begun where there is no room": (
        "replica/core/recovery.c",
        "!self->lineage_is_fixed || c->room == 0 ||",
        "!self->lineage_is_fixed ||",
    ),
    "no updates are taken before a checkpoint that is due": (
        "replica/core/intake.c",
        "if (command->is_update && self->log_is_full) {",
        "if (command->is_update && (self->log_is_full || self->checkpoint.is_wanted)) {",
    ),
    "clients do not know which route it was that is lost": (
        "frontend/core/frontend.c",
        "        send_client(self, route->client, &away);\n        leave_if_done",
        "        send_client(self, route->client, &away);\n        renumber(self, route);\n"
        "        leave_if_done",
        "unit/frontend/test_frontend",
    ),
}

def occurrences(name):
    file, old = MUTANTS[name][:2]
    return (ROOT / file).read_text().count(old)


def check():
    stale = [name for name in MUTANTS if occurrences(name) != 1]
    for name in stale:
        print(f"mutants: the piece of \"{name}\" is there {occurrences(name)} times in "
              f"{MUTANTS[name][0]}")
    return 1 if stale else 0


def build(program):
    command = [os.environ.get("MAKE", "make"), "-s", "-j2", "-C", str(COPY / "src"),
               f"BUILD={COPY / 'obj'}", "WARNINGS=-w", str(COPY / "obj/tests" / program)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def simulate():
    sim = [str(COPY / "obj/tests" / SIMULATOR), "--seeds", str(SEEDS), "--first"]
    try:
        out = subprocess.run(sim, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f"NOT FOUND in {TIMEOUT_S} s"
    if -out.returncode in (signal.SIGABRT, signal.SIGSEGV):
        return None  # it fell over an assertion
    if out.returncode < 0:
        return f"ended by signal {-out.returncode}"
    found = re.search(r"^seed (\d+): (.*)$", out.stdout, re.M)
    return None if found else f"SURVIVED {SEEDS} seeds"


def run_unit(unit):
    out = subprocess.run([str(COPY / "obj/tests" / unit)], capture_output=True)
    return None if out.returncode != 0 else f"SURVIVED {unit}"


def run(name):
    file, old, new, *unit = MUTANTS[name]
    path = COPY / "src" / file
    text = path.read_text()
    path.write_text(text.replace(old, new))
    try:
        made = build(*unit or [SIMULATOR])
        if made.returncode != 0:
            return "does not build: " + made.stderr.strip().splitlines()[-1]
        return run_unit(*unit) if unit else simulate()
    finally:
        path.write_text(text)


def main():
    if sys.argv[1:] == ["--check"]:
        return check()
    if check() != 0:
        return 1
    names = sys.argv[1:] or MUTANTS
    shutil.rmtree(COPY, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT,
                            capture_output=True, text=True, check=True).stdout.split()
    for file in listed:
        target = COPY / "src" / file
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / file).is_file():
            shutil.copy2(ROOT / file, target)
    for program in {SIMULATOR, MEMBERSHIP}:
        if build(program).returncode != 0:
            print("the copy does not build")
            return 1
    if run_unit(MEMBERSHIP) is None:
        print(f"{MEMBERSHIP} fails as it is")
        return 1
    failed = 0
    for name in names:
        started = time.monotonic()
        why = run(name)
        failed += why is not None
        word = "found" if why is None else why
        print(f"  {name:56s} {time.monotonic() - started:6.1f} s  {word}", flush=True)
    shutil.rmtree(COPY, ignore_errors=True)
    print(f"{len(names) - failed} of {len(names)} mutants found")
    return 1 if failed else 0


sys.exit(main())
