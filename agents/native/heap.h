// Memory that grows: what a column collects while records are read. Python takes it over and frees it by headwater_free.
#ifndef HEADWATER_HEAP_H
#define HEADWATER_HEAP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define HEADWATER_EXPORT __attribute__((visibility("default")))

typedef struct {
    uint8_t *bytes;
    int64_t size;
    int64_t capacity;
} Heap;

// Room for `more` bytes behind what is there; false when the machine has no memory left.
static inline bool heap_reserve(Heap *heap, int64_t more) {
    if (heap->size + more <= heap->capacity) return true;
    int64_t capacity = heap->capacity ? heap->capacity * 2 : 4096;
    while (capacity < heap->size + more) capacity *= 2;
    uint8_t *bytes = realloc(heap->bytes, (size_t)capacity);
    if (!bytes) return false;
    heap->bytes = bytes;
    heap->capacity = capacity;
    return true;
}

static inline bool heap_append(Heap *heap, const void *bytes, int64_t size) {
    if (!heap_reserve(heap, size)) return false;
    if (size) memcpy(heap->bytes + heap->size, bytes, (size_t)size);
    heap->size += size;
    return true;
}

#endif
