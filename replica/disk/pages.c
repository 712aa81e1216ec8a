#include "replica/disk/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bus/base/memory.h"
#include "replica/disk/files.h"

enum {
    PAGE_BRANCH = 0x01,
    PAGE_LEAF = 0x02,
    PAGE_OVERFLOW = 0x04,
    PAGE_META = 0x08,
    PAGE_KINDS = 0x0f,
    NODE_BIG = 0x01, /* the data is in overflow pages */
    METAS = 2,
    DEPTH_MAX = 32, /* LMDB's own */
    PAGE_SIZE_MIN = 256,
    PAGE_SIZE_MAX = 65536,
    MAGIC = 0x3EEFC0DE, /* without the highest bit, to be an int */
    DATA_VERSION = 1,
};

/* The file has these as they are in memory, with numbers of the machine. */
typedef struct page_head {
    size_t number;
    uint16_t unused;
    uint16_t kind;
    uint16_t lower; /* end of the offsets of nodes; with upper: how many pages, of an overflow */
    uint16_t upper; /* where the nodes begin */
} page_head_t;

typedef struct tree {
    uint32_t page_size; /* of the first tree alone */
    uint16_t flags;
    uint16_t depth;
    size_t branches;
    size_t leaves;
    size_t overflows;
    size_t entries;
    size_t root; /* SIZE_MAX: none */
} tree_t;

typedef struct meta {
    uint32_t magic;
    uint32_t version;
    void *address;
    size_t map_size;
    tree_t trees[2]; /* free pages, rows */
    size_t last_page;
    size_t transaction;
} meta_t;

typedef struct node {
    uint16_t low; /* of the size of the data, or of the number of the page below */
    uint16_t high;
    uint16_t flags;
    uint16_t key_size;
} node_t;

typedef struct pages {
    int fd;
    meta_t meta;
    size_t page_size;
    size_t count;     /* whole pages in the file */
    uint8_t *seen;    /* a bit for each */
    size_t last;      /* the page that was read last */
    size_t entries;   /* of the tree that is being read */
    buf_t key;        /* the greatest of the rows, so far */
    pages_row_fn *fn; /* NULL: nobody wants the rows */
    void *arg;
} pages_t;

/* Marks pages as used; false when they are not in the file or used already. */
static bool use(pages_t *self, size_t first, size_t count)
{
    if (first < METAS || first >= self->count || count > self->count - first)
        return false;
    for (size_t i = first; i < first + count; i++) {
        uint8_t bit = (uint8_t)(1U << i % 8);
        if (self->seen[i / 8] & bit)
            return false;
        self->seen[i / 8] |= bit;
    }
    return true;
}

/* Reads `count` pages from `number` on, the first of which has a head of that kind. */
static int read_pages(pages_t *self, size_t number, size_t count, unsigned kind, buf_t *out,
                      page_head_t *head)
{
    buf_reset(out);
    self->last = number;
    int rc = files_read(self->fd, (uint64_t)number * self->page_size, count * self->page_size, out);
    if (rc != 0)
        return rc;
    memcpy(head, out->data, sizeof(*head));
    return head->number == number && (head->kind & PAGE_KINDS) == kind ? 0 : MDB_CORRUPTED;
}

/* The data of a row of the tree of free pages: a count and so many numbers. */
static int check_free(const pages_t *self, slice_t data)
{
    size_t count = 0;
    size_t number;
    if (data.size >= sizeof(count))
        memcpy(&count, data.data, sizeof(count));
    if (data.size < sizeof(count) || count >= data.size / sizeof(number))
        return MDB_CORRUPTED;
    for (size_t i = 1; i <= count; i++) {
        memcpy(&number, data.data + i * sizeof(number), sizeof(number));
        if (number < METAS || number > self->meta.last_page)
            return MDB_CORRUPTED;
    }
    return 0;
}

/* What a leaf has is for whoever it is of. */
static int take_row(pages_t *self, slice_t key, slice_t data, size_t number, bool is_free)
{
    if (is_free)
        return check_free(self, data);
    return self->fn == NULL ? 0
                            : self->fn(self->arg, key, data, (uint64_t)number * self->page_size);
}

/* data is the number of the first of the overflow pages that hold size bytes. */
static int check_overflow(pages_t *self, slice_t key, const uint8_t *data, size_t size,
                          bool is_free)
{
    bool is_read = is_free || self->fn != NULL;
    size_t first;
    page_head_t head;
    memcpy(&first, data, sizeof(first));
    size_t count = (sizeof(head) - 1 + size) / self->page_size + 1;
    if (first >= self->count || count > self->count - first)
        return MDB_CORRUPTED;
    buf_t bytes = {0};
    int rc = read_pages(self, first, 1, PAGE_OVERFLOW, &bytes, &head);
    uint32_t said = 0; /* more than is needed after a longer value */
    if (rc == 0)
        memcpy(&said, bytes.data + offsetof(page_head_t, lower), sizeof(said));
    if (rc == 0 && (said < count || !use(self, first, said)))
        rc = MDB_CORRUPTED;
    /* Not before it is known that size is not damaged: it may be that of the whole file. */
    if (rc == 0 && is_read)
        rc = read_pages(self, first, count, PAGE_OVERFLOW, &bytes, &head);
    if (rc == 0 && is_read)
        rc = take_row(self, key, slice_of(bytes.data + sizeof(head), size), first, is_free);
    buf_free(&bytes);
    return rc;
}

/* Checks a node of the leaf of that number; rest is what is in the page from its head on. */
static int check_leaf(pages_t *self, size_t number, slice_t rest, const node_t *node, bool is_free)
{
    size_t at = sizeof(*node) + node->key_size;
    size_t size = (size_t)node->high << 16 | node->low;
    bool is_big = node->flags == NODE_BIG;
    if (node->flags != 0 && !is_big)
        return MDB_CORRUPTED;
    if (rest.size < at || rest.size - at < (is_big ? sizeof(size_t) : size))
        return MDB_CORRUPTED;
    slice_t key = slice_of(rest.data + sizeof(*node), node->key_size);
    if (is_big)
        return check_overflow(self, key, rest.data + at, size, is_free);
    return take_row(self, key, slice_of(rest.data + at, size), number, is_free);
}

static int check_tree(pages_t *self, size_t number, unsigned depth, bool is_free);

/* Takes the i-th node of a page; rest is what is in the page from its head on. False: damaged. */
static bool node_at(slice_t page, const page_head_t *head, size_t i, node_t *node, slice_t *rest)
{
    uint16_t at;
    memcpy(&at, page.data + sizeof(*head) + i * sizeof(at), sizeof(at));
    if (at < head->upper || at + sizeof(*node) > page.size)
        return false;
    *rest = slice_of(page.data + at, page.size - at);
    memcpy(node, rest->data, sizeof(*node));
    return rest->size - sizeof(*node) >= node->key_size;
}

/* The page below a node of a branch. */
static uint64_t page_below(const node_t *node)
{
    return (uint64_t)node->flags << 32 | (uint64_t)node->high << 16 | node->low;
}

/*
 * Has the system fetch the leaves below a branch: they may be anywhere in the file, and one by one
 * a device takes several times as long.
 */
static void fetch_leaves(const pages_t *self, slice_t page, const page_head_t *head, size_t count)
{
    node_t node;
    slice_t rest;
    for (size_t i = 0; i < count && node_at(page, head, i, &node, &rest); i++)
        if (page_below(&node) < self->count)
            posix_fadvise(self->fd, (off_t)(page_below(&node) * self->page_size),
                          (off_t)self->page_size, POSIX_FADV_WILLNEED);
}

/* Keys never go back in the order of reading: those in branches separate what is below. */
static bool follows(pages_t *self, slice_t key)
{
    if (slice_compare(buf_slice(&self->key), key) > 0)
        return false;
    buf_reset(&self->key);
    buf_append_slice(&self->key, key);
    return true;
}

/* Checks the nodes of a page of the given depth: 1 is a leaf. */
static int check_nodes(pages_t *self, slice_t page, const page_head_t *head, unsigned depth,
                       bool is_free)
{
    if (head->lower < sizeof(*head) || head->lower > head->upper || head->upper > page.size)
        return MDB_CORRUPTED;
    size_t number = head->number;
    size_t count = (head->lower - sizeof(*head)) / sizeof(uint16_t);
    int rc = count > 0 && head->lower % sizeof(uint16_t) == 0 ? 0 : MDB_CORRUPTED;
    if (rc == 0 && depth == 2)
        fetch_leaves(self, page, head, count);
    for (size_t i = 0; i < count && rc == 0; i++) {
        node_t node;
        slice_t rest;
        self->last = number; /* again, after what is below the node before */
        if (!node_at(page, head, i, &node, &rest))
            return MDB_CORRUPTED;
        slice_t key = slice_of(rest.data + sizeof(node), node.key_size);
        bool has_key = depth == 1 || i > 0; /* the first of a branch has none */
        if (has_key && !is_free && !follows(self, key))
            return MDB_CORRUPTED;
        self->entries += depth == 1;
        if (depth == 1)
            rc = check_leaf(self, number, rest, &node, is_free);
        else if (page_below(&node) > SIZE_MAX)
            rc = MDB_CORRUPTED;
        else
            rc = check_tree(self, (size_t)page_below(&node), depth - 1, is_free);
    }
    return rc;
}

static int check_tree(pages_t *self, size_t number, unsigned depth, bool is_free)
{
    page_head_t head;
    buf_t page = {0};
    if (!use(self, number, 1))
        return MDB_CORRUPTED;
    int rc = read_pages(self, number, 1, depth > 1 ? PAGE_BRANCH : PAGE_LEAF, &page, &head);
    if (rc == 0)
        rc = check_nodes(self, buf_slice(&page), &head, depth, is_free);
    buf_free(&page);
    return rc;
}

/* Reads the meta page at an offset, and takes it if it is newer than the one that is there. */
static int take_meta(pages_t *self, uint64_t offset)
{
    buf_t bytes = {0};
    page_head_t head;
    meta_t meta;
    int rc = files_read(self->fd, offset, sizeof(head) + sizeof(meta), &bytes);
    if (rc == 0) {
        memcpy(&head, bytes.data, sizeof(head));
        memcpy(&meta, bytes.data + sizeof(head), sizeof(meta));
    }
    buf_free(&bytes);
    if (rc != 0)
        return rc == EIO ? MDB_INVALID : rc; /* the file is shorter than that */
    if (!(head.kind & PAGE_META) || meta.magic != (MAGIC | 0x80000000U))
        return offset == 0 ? MDB_INVALID : MDB_CORRUPTED;
    if (meta.version != DATA_VERSION)
        return MDB_VERSION_MISMATCH;
    size_t page_size = meta.trees[0].page_size;
    if (page_size < PAGE_SIZE_MIN || page_size > PAGE_SIZE_MAX ||
        (page_size & (page_size - 1)) != 0 || (offset != 0 && page_size != self->page_size))
        return MDB_CORRUPTED;
    if (offset == 0 || meta.transaction > self->meta.transaction)
        self->meta = meta;
    self->page_size = page_size;
    return 0;
}

int pages_check(int fd)
{
    uint64_t offset;
    return pages_each(fd, NULL, NULL, &offset);
}

int pages_each(int fd, pages_row_fn *fn, void *arg, uint64_t *offset)
{
    pages_t self = {.fd = fd, .fn = fn, .arg = arg};
    struct stat status;
    *offset = 0;
    if (fstat(fd, &status) != 0)
        return errno;
    int rc = take_meta(&self, 0);
    if (rc == 0)
        rc = take_meta(&self, self.page_size);
    if (rc != 0)
        return rc;
    self.count = (size_t)status.st_size / self.page_size;
    self.seen = mem_zero(self.count / 8 + 1, 1);
    for (int i = 0; i < 2 && rc == 0; i++) {
        const tree_t *tree = &self.meta.trees[i];
        self.entries = 0;
        if (tree->depth > DEPTH_MAX || (tree->depth == 0) != (tree->root == SIZE_MAX))
            rc = MDB_CORRUPTED;
        else if (tree->depth > 0)
            rc = check_tree(&self, tree->root, tree->depth, i == 0);
        if (rc == 0 && self.entries != tree->entries)
            rc = MDB_CORRUPTED;
    }
    free(self.seen);
    buf_free(&self.key);
    *offset = (uint64_t)self.last * self.page_size;
    return rc;
}
