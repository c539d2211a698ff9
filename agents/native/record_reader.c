// JSON records into columns, in one pass over their bytes: what a column takes is appended to it, nothing else is kept.
//
// A row is read when its text is one strict JSON object that fits the shape: every member has a place, stands once, and is of the
// type wanted; null is the same as nothing there. Any other row leaves no trace in the columns, and is for the strict reading to
// judge (agents/parsing/strict.py). So this file decides nothing: it is a short way for what is beyond doubt.
#include "json_text.h"

// What belongs at a place of the shape; the numbers are those of agents/parsing/record_shape.py (Kind).
enum { TEXT = 0, MILLISECONDS = 1, TEXTS = 2, NUMBERS = 3, DOCUMENT = 4, OBJECT = 5 };

enum { DEPTH_MAX = 64, MEMBERS_MAX = 64, NAMES_MAX = 32 };

typedef struct {
    int32_t name_start, name_size, kind, target;  // target: the column, or the node of an object
} Member;

typedef struct {
    int32_t first, count;
} Node;

// One column of every row. Rows of texts and documents end at `ends` in `bytes`; rows of maps end at `ends` in their entries, whose
// names end at `name_ends` in `bytes`, and whose items are texts (`item_bytes`, `item_ends`) or floats (`item_bytes`). All ends begin with 0.
typedef struct {
    int32_t kind;
    int32_t is_required;
    int32_t *ends;      // row count + 1
    uint8_t *is_valid;  // a bit for each row
    int64_t *times;    // microseconds, as the lake keeps them
    Heap bytes;
    Heap name_ends;
    Heap item_bytes;
    Heap item_ends;
} Column;

typedef struct {
    Cursor cursor;
    const uint8_t *names;
    const Node *nodes;
    const Member *members;
    Column *columns;
    int64_t row;
    int64_t ms_min, ms_max;
    int depth;
    bool is_canonical;  // written by us: no name stands twice
} Reader;

static inline void mark_valid(Reader *reader, Column *column) { column->is_valid[reader->row >> 3] |= (uint8_t)(1 << (reader->row & 7)); }

static inline bool append_text(Heap *heap, const Text *text) {
    if (!text->has_escape) return heap_append(heap, text->start, text->size);
    int64_t size;
    if (!heap_reserve(heap, text->size) || !resolve_escapes(text, heap->bytes + heap->size, &size)) return false;
    heap->size += size;
    return true;
}

static inline bool append_end(Heap *heap, int64_t end) {
    int32_t narrow = (int32_t)end;
    return heap_append(heap, &narrow, sizeof narrow);
}

static bool is_among(const Text *names, int count, const Text *name) {
    for (int number = 0; number < count; number++)
        if (names[number].size == name->size && memcmp(names[number].start, name->start, (size_t)name->size) == 0) return true;
    return false;
}

// A member's name and the colon behind it. A name with an escape may be another one in disguise: not for here, unless none stands twice.
static inline bool take_name(Reader *reader, Text *name) {
    Cursor *cursor = &reader->cursor;
    if (!take_byte(cursor, '"') || !take_text(cursor, name) || (name->has_escape && !reader->is_canonical)) return false;
    skip_space(cursor);
    if (!take_byte(cursor, ':')) return false;
    skip_space(cursor);
    return true;
}

// Behind a value: true when another one follows, with the cursor before it; `is_over` when the closing byte came.
static inline bool take_comma(Cursor *cursor, uint8_t closing, bool *is_over) {
    skip_space(cursor);
    if (take_byte(cursor, closing)) {
        *is_over = true;
        return true;
    }
    if (!take_byte(cursor, ',')) return false;
    skip_space(cursor);
    return true;
}

static inline bool take_null(Cursor *cursor) { return take_word(cursor, "null", 4); }

// Copies a document in the one spelling that the strict reading writes: without white space; other escapes and -0 are not for here.
static bool copy_document(Reader *reader, Heap *heap) {
    Cursor *cursor = &reader->cursor;
    if (cursor->at >= cursor->end) return false;
    const uint8_t *start = cursor->at;
    uint8_t first = *start;
    if (first == '"') {
        Text text;
        cursor->at++;
        if (!take_text(cursor, &text)) return false;
        // The strict reading has written a control character as \u0001 itself, in the one spelling.
        if (text.has_escape && !reader->is_canonical)
            for (const uint8_t *at = text.start; (at = memchr(at, '\\', (size_t)(text.start + text.size - at))); at += 2)
                if (at[1] == 'u' || at[1] == '/') return false;
        return heap_append(heap, start, cursor->at - start);
    }
    if (first == '{' || first == '[') {
        bool is_object = first == '{', is_over = false;
        uint8_t closing = is_object ? '}' : ']';
        Text names[NAMES_MAX];
        int count = 0;
        if (++reader->depth > DEPTH_MAX) return false;
        cursor->at++;
        if (!heap_append(heap, &first, 1)) return false;
        skip_space(cursor);
        if (take_byte(cursor, closing)) is_over = true;
        while (!is_over) {
            if (is_object) {
                Text name;
                if (!take_name(reader, &name)) return false;
                if (!reader->is_canonical) {
                    if (count == NAMES_MAX || is_among(names, count, &name)) return false;
                    names[count++] = name;
                }
                if (!heap_append(heap, "\"", 1) || !heap_append(heap, name.start, name.size) || !heap_append(heap, "\":", 2)) return false;
            }
            if (!copy_document(reader, heap) || !take_comma(cursor, closing, &is_over)) return false;
            if (!is_over && !heap_append(heap, ",", 1)) return false;
        }
        reader->depth--;
        return heap_append(heap, &closing, 1);
    }
    if (first == 't' || first == 'f' || first == 'n') {
        if (!(take_word(cursor, "true", 4) || take_word(cursor, "false", 5) || take_null(cursor))) return false;
    } else {
        Number number;
        double value;
        if (!take_number(cursor, &number) || (number.size == 2 && number.start[0] == '-' && number.start[1] == '0')) return false;
        if ((!number.is_whole || number.size > 300) && !read_float(&number, &value)) return false;
    }
    return heap_append(heap, start, cursor->at - start);
}

static bool read_map(Reader *reader, Column *column, bool is_text) {
    Cursor *cursor = &reader->cursor;
    Text names[MEMBERS_MAX];
    int count = 0;
    bool is_over = false;
    if (!take_byte(cursor, '{') || ++reader->depth > DEPTH_MAX) return false;
    skip_space(cursor);
    if (take_byte(cursor, '}')) is_over = true;
    while (!is_over) {
        Text name;
        if (!take_name(reader, &name)) return false;
        if (!reader->is_canonical) {
            if (count == MEMBERS_MAX || is_among(names, count, &name)) return false;
            names[count++] = name;
        }
        if (!append_text(&column->bytes, &name) || !append_end(&column->name_ends, column->bytes.size)) return false;
        if (is_text) {
            Text text;
            if (!take_byte(cursor, '"') || !take_text(cursor, &text) || !append_text(&column->item_bytes, &text)) return false;
            if (!append_end(&column->item_ends, column->item_bytes.size)) return false;
        } else {
            Number number;
            double value;
            if (!take_number(cursor, &number) || !read_float(&number, &value)) return false;
            if (!heap_append(&column->item_bytes, &value, sizeof value)) return false;
        }
        if (!take_comma(cursor, '}', &is_over)) return false;
    }
    reader->depth--;
    return true;
}

static bool read_value(Reader *reader, Column *column) {
    Cursor *cursor = &reader->cursor;
    switch (column->kind) {
    case TEXT: {
        Text text;
        if (!take_byte(cursor, '"') || !take_text(cursor, &text) || !append_text(&column->bytes, &text)) return false;
        break;
    }
    case MILLISECONDS: {
        Number number;
        int64_t value;
        if (!take_number(cursor, &number) || !read_whole(&number, &value) || value < reader->ms_min || value > reader->ms_max) return false;
        column->times[reader->row] = value * 1000;
        break;
    }
    case DOCUMENT:
        if (cursor->at >= cursor->end || *cursor->at != '{' || !copy_document(reader, &column->bytes)) return false;
        break;
    default:
        if (!read_map(reader, column, column->kind == TEXTS)) return false;
    }
    mark_valid(reader, column);
    return true;
}

static bool read_object(Reader *reader, const Node *node) {
    Cursor *cursor = &reader->cursor;
    const Member *members = reader->members + node->first;
    uint64_t seen = 0;
    int expected = 0;
    bool is_over = false;
    if (!take_byte(cursor, '{') || ++reader->depth > DEPTH_MAX) return false;
    skip_space(cursor);
    if (take_byte(cursor, '}')) is_over = true;
    while (!is_over) {
        Text name;
        if (!take_name(reader, &name)) return false;
        // Senders write members in one order mostly: the one behind the last is tried first.
        int found = -1;
        for (int tried = 0; tried < node->count && found < 0; tried++) {
            int number = expected + tried < node->count ? expected + tried : expected + tried - node->count;
            const Member *member = members + number;
            if (member->name_size == name.size && memcmp(reader->names + member->name_start, name.start, (size_t)name.size) == 0) found = number;
        }
        if (found < 0 || seen >> found & 1) return false;
        seen |= (uint64_t)1 << found;
        expected = found + 1 < node->count ? found + 1 : 0;
        const Member *member = members + found;
        if (!take_null(cursor)) {
            if (member->kind == OBJECT) {
                if (!read_object(reader, reader->nodes + member->target)) return false;
            } else if (!read_value(reader, reader->columns + member->target)) {
                return false;
            }
        }
        if (!take_comma(cursor, '}', &is_over)) return false;
    }
    reader->depth--;
    return true;
}

static inline bool holds(const Reader *reader, const Column *column) { return column->is_valid[reader->row >> 3] >> (reader->row & 7) & 1; }

static bool has_required(const Reader *reader, int column_count) {
    for (int number = 0; number < column_count; number++) {
        const Column *column = reader->columns + number;
        if (!column->is_required) continue;
        if (!holds(reader, column) || (column->kind == TEXT && column->bytes.size == column->ends[reader->row])) return false;
    }
    return true;
}

static inline int32_t read_end(const Heap *heap, int64_t number) { return ((const int32_t *)heap->bytes)[number]; }

static void forget_row(Reader *reader, int column_count) {
    for (int number = 0; number < column_count; number++) {
        Column *column = reader->columns + number;
        column->is_valid[reader->row >> 3] &= (uint8_t)~(1 << (reader->row & 7));
        if (column->kind == TEXT || column->kind == DOCUMENT) {
            column->bytes.size = column->ends[reader->row];
        } else if (column->kind == TEXTS || column->kind == NUMBERS) {
            int64_t entries = column->ends[reader->row];
            column->bytes.size = read_end(&column->name_ends, entries);
            column->name_ends.size = (entries + 1) * (int64_t)sizeof(int32_t);
            if (column->kind == NUMBERS) {
                column->item_bytes.size = entries * (int64_t)sizeof(double);
            } else {
                column->item_bytes.size = read_end(&column->item_ends, entries);
                column->item_ends.size = (entries + 1) * (int64_t)sizeof(int32_t);
            }
        }
    }
}

static void end_row(Reader *reader, int column_count) {
    for (int number = 0; number < column_count; number++) {
        Column *column = reader->columns + number;
        if (column->kind == TEXT || column->kind == DOCUMENT) {
            column->ends[reader->row + 1] = (int32_t)column->bytes.size;
        } else if (column->kind != MILLISECONDS) {
            column->ends[reader->row + 1] = (int32_t)(column->name_ends.size / (int64_t)sizeof(int32_t) - 1);
        }
    }
}

static bool begin(Reader *reader, int column_count) {
    for (int number = 0; number < column_count; number++) {
        Column *column = reader->columns + number;
        if (column->ends) column->ends[0] = 0;
        bool is_map = column->kind == TEXTS || column->kind == NUMBERS;
        if (is_map && !append_end(&column->name_ends, 0)) return false;
        if (column->kind == TEXTS && !append_end(&column->item_ends, 0)) return false;
    }
    return true;
}

// Reads the rows of `data` that `bounds` bounds and `is_wanted` wants; `is_read` says which were read. False when memory ran out at once.
HEADWATER_EXPORT bool headwater_read_records(
    const uint8_t *data, const int32_t *bounds, int64_t row_count, const uint8_t *is_wanted, const uint8_t *names, const Node *nodes,
    const Member *members, Column *columns, int32_t column_count, int64_t ms_min, int64_t ms_max, bool is_canonical, uint8_t *is_read) {
    Reader reader = {
        .names = names, .nodes = nodes, .members = members, .columns = columns, .ms_min = ms_min, .ms_max = ms_max, .is_canonical = is_canonical};
    if (!begin(&reader, column_count)) return false;
    for (int64_t row = 0; row < row_count; row++) {
        reader.row = row;
        reader.depth = 0;
        reader.cursor = (Cursor){data + bounds[row], data + bounds[row + 1]};
        bool is_fit = is_wanted[row];
        if (is_fit) {
            skip_space(&reader.cursor);
            is_fit = read_object(&reader, nodes);
            skip_space(&reader.cursor);
            is_fit = is_fit && reader.cursor.at == reader.cursor.end && has_required(&reader, column_count);
            if (!is_fit) forget_row(&reader, column_count);
        }
        is_read[row] = is_fit;
        end_row(&reader, column_count);
    }
    return true;
}

// How many names stand in a JSON text: the colons outside of its texts. -1 where one of these is none.
HEADWATER_EXPORT int64_t headwater_count_names(const uint8_t *data, int64_t size) {
    Cursor cursor = {data, data + size};
    int64_t count = 0;
    while (cursor.at < cursor.end) {
        uint8_t byte = *cursor.at++;
        Text text;
        if (byte == '"' && !take_text(&cursor, &text)) return -1;
        count += byte == ':';
    }
    return count;
}

HEADWATER_EXPORT void headwater_free(void *bytes) { free(bytes); }
