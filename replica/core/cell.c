#include "replica/core/cell.h"

#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"

void seen_reset(seen_t *self)
{
    vec_reset(&self->dots);
    self->base = 0;
    self->any = 0;
}

void seen_free(seen_t *self)
{
    vec_free(&self->dots);
}

void seen_mark(seen_t *self, const mark_t *mark)
{
    if (tag_is_zero(mark->tag))
        return;
    vec_raise(&self->dots, mark->dot.incarnation, mark->dot.count);
    self->base = hlc_max(self->base, mark->tag.hlc);
    self->any = hlc_max(self->any, mark->tag.hlc);
}

static void increments_destroy(increments_t **self_p)
{
    increments_t *self = *self_p;
    if (self == NULL)
        return;
    vec_free(&self->dots);
    free(self->list);
    free(self);
    *self_p = NULL;
}

void cell_free(cell_t *self)
{
    free(self->text);
    increments_destroy(&self->increments);
    *self = (cell_t){0};
}

/* Drops the increments at or under a tag: a prefix, since the list is sorted. */
static void drop_increments(cell_t *self, tag_t tag)
{
    increments_t *all = self->increments;
    if (all == NULL)
        return;
    size_t drop = 0;
    while (drop < all->size && tag_compare(all->list[drop].mark.tag, tag) <= 0)
        drop++;
    if (drop == 0)
        return;
    if (drop == all->size) {
        increments_destroy(&self->increments);
        return;
    }
    all->size -= drop;
    memmove(all->list, all->list + drop, all->size * sizeof *all->list);
    vec_reset(&all->dots);
    uint64_t sum = 0;
    for (size_t i = 0; i < all->size; i++) {
        sum += (uint64_t)all->list[i].amount;
        vec_raise(&all->dots, all->list[i].mark.dot.incarnation, all->list[i].mark.dot.count);
    }
    all->sum = (int64_t)sum;
}

static void clear_base(cell_t *self)
{
    free(self->text);
    self->text = NULL;
    self->size = 0;
    self->base = (mark_t){0};
    self->is_deleted = self->is_number = false;
}

void cell_set(cell_t *self, const mark_t *mark, const slice_t *text)
{
    if (tag_compare(mark->tag, self->base.tag) <= 0)
        return;
    clear_base(self);
    self->base = *mark;
    self->is_deleted = text == NULL;
    if (text != NULL) {
        self->size = (uint32_t)text->size;
        self->text = (uint8_t *)mem_text(text->data, text->size);
        self->is_number = slice_to_int64(*text, &self->number);
    }
    drop_increments(self, mark->tag);
}

void cell_add(cell_t *self, const mark_t *mark, int64_t amount)
{
    if (tag_compare(mark->tag, self->base.tag) <= 0)
        return;
    if (self->increments == NULL)
        self->increments = mem_zero(1, sizeof *self->increments);
    increments_t *all = self->increments;
    size_t at = all->size;
    while (at > 0 && tag_compare(all->list[at - 1].mark.tag, mark->tag) > 0)
        at--;
    if (at > 0 && tag_compare(all->list[at - 1].mark.tag, mark->tag) == 0)
        return; /* a second copy of one we have */
    if (all->size == all->capacity) {
        all->capacity = all->capacity != 0 ? all->capacity * 2 : 2;
        all->list = mem_resize(all->list, all->capacity * sizeof *all->list);
    }
    memmove(all->list + at + 1, all->list + at, (all->size - at) * sizeof *all->list);
    all->list[at] = (increment_t){*mark, amount};
    all->size++;
    all->sum = (int64_t)((uint64_t)all->sum + (uint64_t)amount);
    vec_raise(&all->dots, mark->dot.incarnation, mark->dot.count);
}

bool cell_prune(cell_t *self, tag_t kill)
{
    if (!tag_is_zero(self->base.tag) && tag_compare(self->base.tag, kill) <= 0)
        clear_base(self);
    drop_increments(self, kill);
    return tag_is_zero(self->base.tag) && self->increments == NULL;
}

tag_t cell_top(const cell_t *self)
{
    const increments_t *all = self->increments;
    return all != NULL ? all->list[all->size - 1].mark.tag : self->base.tag;
}

cell_view_t cell_view(const cell_t *self)
{
    bool has_text = !tag_is_zero(self->base.tag) && !self->is_deleted;
    cell_view_t view = {.is_there = has_text || self->increments != NULL};
    if (has_text) {
        view.is_number = self->is_number;
        view.number = self->is_number ? self->number : 0;
        view.text = slice_of(self->text, self->size);
    } else {
        view.is_number = self->increments != NULL;
    }
    if (view.is_number && self->increments != NULL) {
        view.number = (int64_t)((uint64_t)view.number + (uint64_t)self->increments->sum);
        view.text = slice_of(NULL, 0);
    }
    return view;
}

void cell_see(const cell_t *self, const mark_t *kill, seen_t *seen)
{
    seen_mark(seen, tag_is_zero(self->base.tag) ? kill : &self->base);
    const increments_t *all = self->increments;
    if (all == NULL)
        return;
    vec_merge(&seen->dots, &all->dots);
    seen->any = hlc_max(seen->any, all->list[all->size - 1].mark.tag.hlc);
}
