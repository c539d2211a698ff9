// Whether the bytes of an Avro datum are one, by its schema, and what they say as JSON: every byte is looked at before anything is made of it.
// What JSON can say in more than one spelling, or not at all, is left to a reader; the check is done all the same.
#include "json_text.h"

#include <math.h>
#include <stdio.h>


// The numbers are those of agents/avro/plan.py.
enum { NULL_, BOOLEAN, INT, LONG, FLOAT, DOUBLE, BYTES, STRING, FIXED, ENUM, ARRAY, MAP, RECORD, UNION };
enum { FITS, ENDS_EARLY, BYTES_LEFT, BAD_VARINT, BAD_LENGTH, BAD_INDEX, BAD_TEXT, BAD_BOOLEAN, TOO_DEEP, TOO_LARGE, DOUBLE_KEY, NO_MEMORY, TOO_GROWN };

typedef struct {
    int32_t kind;
    int32_t first;  // of the parts: types of a record, an array, a map, a union; what each symbol of an enum takes as JSON
    int32_t count;  // of the parts; bytes of a fixed
    int32_t json;   // bytes that it takes as JSON at least, without what is in it
    int32_t is_odd;  // a reader makes something else of it than JSON has for its type
} Node;

typedef struct {
    const uint8_t *at;
    const uint8_t *end;
    const Node *nodes;
    const int32_t *parts;
    // By part: {"name": or ,"name": of a record's field, "symbol" of an enum's; where it ends is where the next one starts.
    const uint8_t *texts;
    const int32_t *text_starts;
    Heap *out;
    bool is_written;
    bool is_memory_short;
    int64_t json_left;
    int32_t depth_left;
    Text *keys;
    size_t key_count;
    size_t key_room;
} Datum;

static void put(Datum *datum, const void *bytes, int64_t size) {
    if (!datum->is_written || heap_append(datum->out, bytes, size)) return;
    datum->is_memory_short = true;
    datum->is_written = false;
}

static void put_part(Datum *datum, int64_t part) {
    put(datum, datum->texts + datum->text_starts[part], datum->text_starts[part + 1] - datum->text_starts[part]);
}

static void put_text(Datum *datum, const Text *text) {
    put(datum, "\"", 1);
    const uint8_t *run = text->start, *end = text->start + text->size;
    for (const uint8_t *at = run; at < end; at++) {
        if (*at < 0x20) datum->is_written = false;
        if (*at != '"' && *at != '\\') continue;
        put(datum, run, at - run);
        put(datum, "\\", 1);
        run = at;
    }
    put(datum, run, end - run);
    put(datum, "\"", 1);
}

static void put_whole(Datum *datum, int64_t value) {
    char digits[24];
    put(datum, digits, snprintf(digits, sizeof(digits), "%lld", (long long)value));
}

// The fewest digits that say the number, where they need no exponent.
static void put_float(Datum *datum, double value) {
    char digits[40];
    double size = fabs(value);
    if (!(size < 1e15) || size < 1e-4) {
        if (value == 0 && !signbit(value)) put(datum, "0.0", 3);
        else datum->is_written = false;
    } else if (value == floor(value)) {
        put_whole(datum, (int64_t)value);
        put(datum, ".0", 2);
    } else {
        int length = 0;
        for (int precision = 15; precision <= 17; precision++) {
            length = snprintf(digits, sizeof(digits), "%.*g", precision, value);
            if (strtod(digits, NULL) == value) break;
        }
        put(datum, digits, length);
    }
}

static int take_long(Datum *datum, int64_t *value) {
    uint64_t read = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (datum->at >= datum->end) return ENDS_EARLY;
        uint8_t byte = *datum->at++;
        if (shift == 63 && byte > 1) return BAD_VARINT;
        read |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80)) {
            *value = (int64_t)(read >> 1) ^ -(int64_t)(read & 1);
            return FITS;
        }
    }
    return BAD_VARINT;
}

static int skip_bytes(Datum *datum, int64_t size) {
    if (size < 0) return BAD_LENGTH;
    if (size > datum->end - datum->at) return ENDS_EARLY;
    datum->at += size;
    return FITS;
}

static int take_string(Datum *datum, Text *text) {
    int fault = take_long(datum, &text->size);
    if (fault) return fault;
    text->start = datum->at;
    if ((fault = skip_bytes(datum, text->size))) return fault;
    if (!is_utf8(text->start, datum->at)) return BAD_TEXT;
    datum->json_left -= text->size;
    return FITS;
}

static int compare_keys(const void *left, const void *right) {
    const Text *one = left, *other = right;
    if (one->size != other->size) return one->size < other->size ? -1 : 1;
    return memcmp(one->start, other->start, (size_t)one->size);
}

static int remember_key(Datum *datum, Text key) {
    if (datum->key_count == datum->key_room) {
        size_t room = datum->key_room ? datum->key_room * 2 : 64;
        Text *keys = realloc(datum->keys, room * sizeof(Text));
        if (!keys) return NO_MEMORY;
        datum->keys = keys;
        datum->key_room = room;
    }
    datum->keys[datum->key_count++] = key;
    return FITS;
}

// The keys from `first` on are those of one map; they are forgotten.
static int check_keys(Datum *datum, size_t first) {
    size_t count = datum->key_count - first;
    datum->key_count = first;
    if (count < 2) return FITS;
    Text *keys = datum->keys + first;
    qsort(keys, count, sizeof(Text), compare_keys);
    for (size_t place = 1; place < count; place++)
        if (compare_keys(keys + place - 1, keys + place) == 0) return DOUBLE_KEY;
    return FITS;
}

static int check_value(Datum *datum, int32_t number);

// Blocks of items; a count below zero has the block's size in bytes behind it, a count of zero ends them.
static int check_blocks(Datum *datum, const Node *node) {
    size_t first_key = datum->key_count;
    bool is_first = true;
    for (;;) {
        int64_t count, size;
        const uint8_t *block_end = NULL;
        int fault = take_long(datum, &count);
        if (fault) return fault;
        if (count == 0) return node->kind == MAP ? check_keys(datum, first_key) : FITS;
        if (count < 0) {
            if ((fault = take_long(datum, &size))) return fault;
            if (count == INT64_MIN || size < 0) return BAD_LENGTH;
            if (size > datum->end - datum->at) return ENDS_EARLY;
            count = -count;
            block_end = datum->at + size;
        }
        for (; count; count--) {
            Text key;
            if (!is_first) put(datum, ",", 1);
            is_first = false;
            if (node->kind == MAP) {
                if ((fault = take_string(datum, &key)) || (fault = remember_key(datum, key))) return fault;
                put_text(datum, &key);
                put(datum, ":", 1);
            }
            if ((fault = check_value(datum, datum->parts[node->first]))) return fault;
        }
        if (block_end && block_end != datum->at) return BAD_LENGTH;
    }
}

static int check_number(Datum *datum, const Node *node) {
    int64_t value;
    int fault = take_long(datum, &value);
    if (fault) return fault;
    put_whole(datum, value);
    return node->kind == INT && (value < INT32_MIN || value > INT32_MAX) ? BAD_VARINT : FITS;
}

static int check_index(Datum *datum, const Node *node) {
    int64_t index;
    int fault = take_long(datum, &index);
    if (fault) return fault;
    if (index < 0 || index >= node->count) return BAD_INDEX;
    if (node->kind == UNION) return check_value(datum, datum->parts[node->first + index]);
    datum->json_left -= datum->parts[node->first + index];
    put_part(datum, node->first + index);
    return FITS;
}

static int check_parts(Datum *datum, const Node *node) {
    if (datum->depth_left == 0) return TOO_DEEP;
    datum->depth_left--;
    int fault = FITS;
    if (node->kind == RECORD) {
        if (node->count == 0) put(datum, "{", 1);
        for (int32_t part = node->first; part < node->first + node->count && !fault; part++) {
            put_part(datum, part);
            fault = check_value(datum, datum->parts[part]);
        }
        put(datum, "}", 1);
    } else {
        put(datum, node->kind == MAP ? "{" : "[", 1);
        fault = check_blocks(datum, node);
        put(datum, node->kind == MAP ? "}" : "]", 1);
    }
    datum->depth_left++;
    return fault;
}

static int check_value(Datum *datum, int32_t number) {
    const Node *node = datum->nodes + number;
    int64_t size;
    Text text;
    float narrow;
    double wide;
    int fault;
    datum->json_left -= node->json;
    if (datum->json_left < 0) return TOO_LARGE;
    if (node->is_odd) datum->is_written = false;
    switch (node->kind) {
        case NULL_: put(datum, "null", 4); return FITS;
        case BOOLEAN:
            if (datum->at >= datum->end) return ENDS_EARLY;
            put(datum, *datum->at ? "true" : "false", *datum->at ? 4 : 5);
            return *datum->at++ > 1 ? BAD_BOOLEAN : FITS;
        case INT:
        case LONG: return check_number(datum, node);
        case FLOAT:
            if ((fault = skip_bytes(datum, 4))) return fault;
            memcpy(&narrow, datum->at - 4, 4);
            put_float(datum, narrow);
            return FITS;
        case DOUBLE:
            if ((fault = skip_bytes(datum, 8))) return fault;
            memcpy(&wide, datum->at - 8, 8);
            put_float(datum, wide);
            return FITS;
        case FIXED: return skip_bytes(datum, node->count);
        case BYTES: return (fault = take_long(datum, &size)) ? fault : skip_bytes(datum, size);
        case STRING:
            if ((fault = take_string(datum, &text))) return fault;
            put_text(datum, &text);
            return FITS;
        case ENUM:
        case UNION: return check_index(datum, node);
        default: return check_parts(datum, node);
    }
}

// For each datum, from starts[i] to ends[i] of `data`: what is wrong with it, and at which byte of it; node 0 is its type. `json_max`: bytes that it
// may take as JSON at least, which bounds what is allocated for it; what it takes beyond its own of the shares comes out of `json_pool`, so
// that all of them together are bounded too. `out` gains the JSON of what fits, which ends at out_ends[i]; is_written[i] is
// false for what was left to a reader.
HEADWATER_EXPORT void headwater_check_datums(
    const uint8_t *data, const int64_t *starts, const int64_t *ends, int64_t count, const Node *nodes, const int32_t *parts,
    const uint8_t *texts, const int32_t *text_starts, int32_t depth_max, int64_t json_max, const int64_t *shares,
    int64_t *json_pool, int32_t *faults, int64_t *places, Heap *out, int64_t *out_ends, bool *is_written) {
    Datum datum = {.nodes = nodes, .parts = parts, .texts = texts, .text_starts = text_starts, .out = out};
    for (int64_t number = 0; number < count && !datum.is_memory_short; number++) {
        int64_t out_start = out->size;
        datum.at = data + starts[number];
        datum.end = data + ends[number];
        int64_t room = shares[number] + *json_pool, json_most = room < json_max ? room : json_max;
        datum.json_left = json_most;
        datum.depth_left = depth_max;
        datum.key_count = 0;
        datum.is_written = true;
        faults[number] = check_value(&datum, 0);
        if (faults[number] == FITS && datum.at != datum.end) faults[number] = BYTES_LEFT;
        if (datum.is_memory_short) faults[number] = NO_MEMORY;
        int64_t size = datum.is_written ? out->size - out_start : json_most - datum.json_left;
        if (faults[number] == TOO_LARGE ? room < json_max : faults[number] == FITS && size > room) faults[number] = TOO_GROWN;
        if (faults[number] == FITS && size > shares[number] && size <= json_max) *json_pool -= size - shares[number];
        places[number] = datum.at - data - starts[number];
        is_written[number] = datum.is_written && faults[number] == FITS;
        if (!is_written[number]) out->size = out_start;
        out_ends[number] = out->size;
    }
    free(datum.keys);
}
