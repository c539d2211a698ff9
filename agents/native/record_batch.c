// The records of one Kafka record batch (format v2, unpacked): where each key and value lies, without an object for any of them.
#include "heap.h"

typedef struct {
    const uint8_t *at;
    const uint8_t *end;
} Varints;

// Kafka's varints are zigzag, seven bits a byte, at most ten bytes.
static inline bool take_varint(Varints *varints, int64_t *value) {
    uint64_t read = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (varints->at >= varints->end) return false;
        uint8_t byte = *varints->at++;
        read |= (uint64_t)(byte & 0x7F) << (shift < 64 ? shift : 63);
        if (!(byte & 0x80)) {
            *value = (int64_t)(read >> 1) ^ -(int64_t)(read & 1);
            return true;
        }
    }
    return false;
}

// Bytes with their length before them; length -1 is null.
static inline bool take_sized(Varints *varints, const uint8_t **start, int64_t *size) {
    if (!take_varint(varints, size) || *size < -1 || *size > varints->end - varints->at) return false;
    *start = varints->at;
    if (*size > 0) varints->at += *size;
    return true;
}

// Fills in, for each of `record_count` records, its offset and time less the batch's first ones, where key and value start and their sizes
// (-1: null), and the same of the value of the last header called `header`. Returns the number of records, -1 when the bytes are no records.
HEADWATER_EXPORT int64_t headwater_split_records(
    const uint8_t *data, int64_t size, int64_t record_count, const uint8_t *header, int64_t header_size, int64_t *offset_deltas,
    int64_t *time_deltas, int32_t *key_starts, int32_t *key_sizes, int32_t *value_starts, int32_t *value_sizes, int32_t *header_starts,
    int32_t *header_sizes) {
    Varints all = {data, data + size};
    for (int64_t number = 0; number < record_count; number++) {
        int64_t length, header_count, key_size, value_size;
        const uint8_t *key, *value;
        if (!take_varint(&all, &length) || length < 1 || length > all.end - all.at) return -1;
        Varints one = {all.at + 1, all.at + length};  // a byte of attributes, unused
        all.at += length;
        if (!take_varint(&one, time_deltas + number) || !take_varint(&one, offset_deltas + number)) return -1;
        if (!take_sized(&one, &key, &key_size) || !take_sized(&one, &value, &value_size)) return -1;
        key_starts[number] = (int32_t)(key - data);
        key_sizes[number] = (int32_t)key_size;
        value_starts[number] = (int32_t)(value - data);
        value_sizes[number] = (int32_t)value_size;
        header_starts[number] = 0;
        header_sizes[number] = -1;
        if (!take_varint(&one, &header_count) || header_count < 0) return -1;
        for (; header_count; header_count--) {
            const uint8_t *name, *content;
            int64_t name_size, content_size;
            if (!take_sized(&one, &name, &name_size) || name_size < 0 || !take_sized(&one, &content, &content_size)) return -1;
            if (name_size == header_size && memcmp(name, header, (size_t)name_size) == 0 && content_size >= 0) {
                header_starts[number] = (int32_t)(content - data);
                header_sizes[number] = (int32_t)content_size;
            }
        }
        if (one.at != one.end) return -1;
    }
    return all.at == all.end ? record_count : -1;
}

// Copies `count` pieces of `data` behind one another and writes where each ends, counted from `end`; a size of -1 takes no room.
HEADWATER_EXPORT int64_t headwater_gather(
    const uint8_t *data, const int32_t *starts, const int32_t *sizes, int64_t count, uint8_t *to, int32_t *ends, int64_t end) {
    for (int64_t number = 0; number < count; number++) {
        if (sizes[number] > 0) {
            memcpy(to + end, data + starts[number], (size_t)sizes[number]);
            end += sizes[number];
        }
        ends[number] = (int32_t)end;
    }
    return end;
}
