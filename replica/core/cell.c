#include "replica/core/cell.h"

#include <stdio.h>
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
    if (mark->dot.incarnation != 0)
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

bool cell_set(cell_t *self, const mark_t *mark, const slice_t *text)
{
    if (tag_compare(mark->tag, self->base.tag) <= 0)
        return false;
    clear_base(self);
    self->base = *mark;
    self->is_deleted = text == NULL;
    if (text != NULL) {
        self->size = (uint32_t)text->size;
        self->text = (uint8_t *)mem_text(text->data, text->size);
        self->is_number = slice_to_int64(*text, &self->number);
    }
    drop_increments(self, mark->tag);
    return true;
}

bool cell_add(cell_t *self, const mark_t *mark, int64_t amount)
{
    if (tag_compare(mark->tag, self->base.tag) <= 0)
        return false;
    if (self->increments == NULL)
        self->increments = mem_zero(1, sizeof *self->increments);
    increments_t *all = self->increments;
    size_t at = all->size;
    while (at > 0 && tag_compare(all->list[at - 1].mark.tag, mark->tag) > 0)
        at--;
    if (at > 0 && tag_compare(all->list[at - 1].mark.tag, mark->tag) == 0)
        return true; /* a second copy of one we have */
    if (all->size == all->capacity) {
        all->capacity = all->capacity != 0 ? all->capacity * 2 : 2;
        all->list = mem_resize(all->list, all->capacity * sizeof *all->list);
    }
    memmove(all->list + at + 1, all->list + at, (all->size - at) * sizeof *all->list);
    all->list[at] = (increment_t){*mark, amount};
    all->size++;
    all->sum = (int64_t)((uint64_t)all->sum + (uint64_t)amount);
    vec_raise(&all->dots, mark->dot.incarnation, mark->dot.count);
    return true;
}

bool cell_is_set_to(const cell_t *self, const slice_t *text)
{
    if (text == NULL || self->text == NULL)
        return text == NULL && self->text == NULL;
    return slice_equal(slice_of(self->text, self->size), *text);
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

/* The sum of the increments above kill; false when there are none. */
static bool sum_above(const increments_t *all, tag_t kill, int64_t *sum)
{
    uint64_t total = 0;
    size_t first = 0;
    if (all == NULL)
        return false;
    while (first < all->size && tag_compare(all->list[first].mark.tag, kill) <= 0)
        first++;
    if (first == 0)
        total = (uint64_t)all->sum;
    for (size_t i = first; first != 0 && i < all->size; i++)
        total += (uint64_t)all->list[i].amount;
    *sum = (int64_t)total;
    return first < all->size;
}

cell_view_t cell_view_above(const cell_t *self, tag_t kill)
{
    int64_t sum = 0;
    bool adds = sum_above(self->increments, kill, &sum);
    bool has_text = self->text != NULL && tag_compare(self->base.tag, kill) > 0;
    cell_view_t view = {.is_there = has_text || adds};
    if (has_text) {
        view.is_number = self->is_number;
        view.number = self->is_number ? self->number : 0;
        view.text = slice_of(self->text, self->size);
    } else {
        view.is_number = adds;
    }
    if (view.is_number && adds) {
        view.number = (int64_t)((uint64_t)view.number + (uint64_t)sum);
        view.text = slice_of(NULL, 0);
    }
    return view;
}

cell_view_t cell_view(const cell_t *self)
{
    return cell_view_above(self, (tag_t){0});
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

/* ---- forgetting ---- */

bool mark_is_stable(const mark_t *mark, const stable_t *stable)
{
    return mark->tag.hlc <= stable->horizon &&
           (mark->dot.incarnation == 0 ||
            vec_get(stable->known, mark->dot.incarnation) >= mark->dot.count);
}

static void set_number(cell_t *self, int64_t number)
{
    char text[24];
    int size = snprintf(text, sizeof text, "%lld", (long long)number);
    free(self->text);
    self->text = (uint8_t *)mem_text(text, (size_t)size);
    self->size = (uint32_t)size;
    self->number = number;
    self->is_number = true;
    self->is_deleted = false;
}

/*
 * The stable ones among the first increments become part of the base, under the tag of the last of
 * them: no set or delete with a lesser tag can come any more. Over a text they never counted.
 */
static void fold_increments(cell_t *self, const stable_t *stable)
{
    const increments_t *all = self->increments;
    size_t fold = 0;
    uint64_t sum = 0;
    while (all != NULL && fold < all->size && mark_is_stable(&all->list[fold].mark, stable))
        sum += (uint64_t)all->list[fold++].amount;
    if (fold == 0)
        return;
    mark_t last = all->list[fold - 1].mark;
    if (self->text == NULL)
        set_number(self, (int64_t)sum);
    else if (self->is_number)
        set_number(self, (int64_t)((uint64_t)self->number + sum));
    self->base = last;
    drop_increments(self, last.tag);
}

void cell_fold(cell_t *self, const stable_t *stable)
{
    if (!mark_is_stable(&self->base, stable))
        return;
    fold_increments(self, stable);
    if (self->is_deleted)
        clear_base(self);
    self->base.dot = (vec_part_t){0};
}

size_t cell_bytes(const cell_t *self)
{
    const increments_t *all = self->increments;
    return self->size + (all != NULL ? sizeof *all + all->size * sizeof *all->list : 0);
}

size_t cell_add_bytes(const cell_t *self)
{
    bool is_first = self == NULL || self->increments == NULL;
    return (is_first ? sizeof(increments_t) : 0) + sizeof(increment_t);
}

bool cell_is_empty(const cell_t *self)
{
    return tag_is_zero(self->base.tag) && self->increments == NULL;
}

/* ---- as bytes ---- */

void mark_put(buf_t *out, const mark_t *mark)
{
    mp_put_uint(out, mark->tag.hlc);
    mp_put_uint(out, mark->tag.client);
    mp_put_uint(out, mark->tag.seq);
    mp_put_uint(out, mark->dot.incarnation);
    mp_put_uint(out, mark->dot.count);
}

mark_t mark_read(mp_t *in)
{
    mark_t mark;
    mark.tag.hlc = mp_uint(in);
    mark.tag.client = mp_uint(in);
    mark.tag.seq = mp_uint(in);
    mark.dot.incarnation = mp_uint(in);
    mark.dot.count = mp_uint(in);
    return mark;
}

void cell_put(buf_t *out, const cell_t *self)
{
    const increments_t *all = self->increments;
    bool has_base = !tag_is_zero(self->base.tag);
    mp_put_bool(out, has_base);
    if (has_base) {
        mark_put(out, &self->base);
        if (self->is_deleted)
            mp_put_nil(out);
        else
            mp_put_bin(out, slice_of(self->text, self->size));
    }
    mp_put_uint(out, all != NULL ? all->size : 0);
    for (size_t i = 0; all != NULL && i < all->size; i++) {
        mark_put(out, &all->list[i].mark);
        mp_put_int(out, all->list[i].amount);
    }
}

bool cell_read(mp_t *in, cell_t *out)
{
    *out = (cell_t){0};
    if (mp_bool(in)) {
        mark_t base = mark_read(in);
        slice_t text = {0};
        bool is_deleted = mp_nil(in);
        if (!is_deleted)
            text = mp_bytes(in);
        if (mp_ok(in))
            cell_set(out, &base, is_deleted ? NULL : &text);
    }
    uint64_t count = mp_uint(in);
    for (uint64_t i = 0; i < count && mp_ok(in); i++) {
        mark_t mark = mark_read(in);
        int64_t amount = mp_int(in);
        if (mp_ok(in))
            cell_add(out, &mark, amount);
    }
    return mp_ok(in);
}
