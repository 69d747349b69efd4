"""Damage that knows a format: well-formed files whose parts say what no writer says.

Bytes that are changed at random rarely get past a checksum, an offset or a length. These changes
keep what holds a file together and alter one part on purpose: a chunk, a zip member, a column's
type or encoding, a node of a graph, a value by its grammar, a row of a database.
"""

from __future__ import annotations

import io
import json
import sqlite3
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tests.robustness.containers import (
    EBML,
    NUMBERS,
    RIFF,
    Change,
    flac,
    hdf5,
    jpeg,
    mp4,
    ogg,
    png,
    wav,
)
from tests.robustness.known import KNOWN
from tests.robustness.mutate import mutated

VALUES: tuple[Any, ...] = (
    *(0, 1, -1, 2**31 - 1, 2**31, 2**63 - 1, -(2**63), 10**30, 0.5, -0.0, 1e30, 1e308, -1e308),
    *(4e9, 400.0, 181.0, None, True, "", "x", "../../x", "/etc/passwd", "\x00", "\ud800", "1"),
    *([], [[]], {}, {"a": {}}, [0] * 1000, "y" * 5000),
)


# Zips.


def _members(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = [(m.filename, archive.read(m)) for m in archive.infolist()]
    except (zipfile.BadZipFile, ValueError, OSError):
        return mutated(content, others, random)
    number = random.randrange(len(parts))
    name, body = parts[number]
    what = random.randrange(7)
    packed = zipfile.ZIP_DEFLATED if random.random() < 0.2 else zipfile.ZIP_STORED
    if what == 0:
        body = mutated(body, others, random)
    elif what == 1:
        body = (
            _json(body, others, random)
            if name.endswith("json")
            else bytes(random.choice((0, 1, 10**6, 10**8 if random.random() < 0.02 else 10**5)))
        )
    elif what == 2:
        name = random.choice(("../evil", "/etc/x", "", "a" * 300, parts[0][0], "x/data.pkl"))
    elif what == 3:
        body = random.choice(parts)[1]
    parts[number : number + 1] = [(name, body)] * (0 if what == 4 else 2 if what == 5 else 1)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packed) as archive:
        for name, body in parts:
            archive.writestr(zipfile.ZipInfo(name), body, packed)
    written = bytearray(file.getvalue())
    if what == 6 and (first := written.rfind(b"PK\x01\x02")) >= 0:  # its entry lies
        at = first + random.choice((10, 20, 24, 42))
        written[at : at + 4] = struct.pack("<I", random.choice((*NUMBERS, 30)))
    return bytes(written)


def _torch_saved(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Change a value of what ``torch.save`` wrote, or its type, or a member of the zip."""
    import torch

    if random.random() < 0.3:
        return _members(content, others, random)
    value = torch.load(io.BytesIO(content), weights_only=True)
    for _ in range(random.choice((1, 1, 2))):
        value = _edited(value, random)
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=random.random() < 0.9)
    return file.getvalue()


# Values by their grammar.


def _edited(value: Any, random: Random) -> Any:
    """Return a tree of JSON values with one of them changed."""
    if isinstance(value, dict) and value and random.random() < 0.85:
        key = random.choice(list(value))
        copy = dict(value)
        what = random.random()
        if what < 0.1:
            del copy[key]
        elif what < 0.2:
            copy[random.choice(("x", "", "a.b", key + key, "__class__"))] = copy[key]
        else:
            copy[key] = _edited(value[key], random)
        return copy
    if isinstance(value, list) and value and random.random() < 0.85:
        number = random.randrange(len(value))
        copies = list(value)
        copies[number : number + 1] = [_edited(value[number], random)] * random.choice(
            (0, 1, 1, 1, 1, 2, 50)
        )
        return copies
    if isinstance(value, int | float) and random.random() < 0.4:
        return random.choice((-value, value * 1e9, value + 1, -1, value / 3))
    if _is_plain_tensor(value) and random.random() < 0.7:
        return _other_tensor(value, random)
    return random.choice(VALUES)


def _is_plain_tensor(value: Any) -> bool:
    """Return whether it is a tensor that was not yet made a sparse, empty or endless one."""
    if not hasattr(value, "untyped_storage"):
        return False
    plain = str(value.layout) == "torch.strided" and value.device.type == "cpu"
    return plain and value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def _other_tensor(value: Any, random: Random) -> Any:
    """Return a tensor of another shape, type, layout or content."""
    import torch

    numbers = torch.tensor([random.choice((float("nan"), float("inf"), -1.0, 1e30))])
    return random.choice(
        (
            value[None],
            value.flatten()[:1],
            value.double(),
            value.to(torch.int64),
            value.to(torch.complex64),
            value.clone().fill_(numbers[0]) if value.is_floating_point() else value + 1,
            value.flatten()[:1].expand(1 << random.choice((4, 20, 30))),
            torch.zeros(3, device="meta"),
            value.double().to_sparse(),
            numbers,
        )
    )


def _json(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    try:
        value = json.loads(content)
    except ValueError:
        return mutated(content, others, random)
    for _ in range(random.choice((1, 1, 2))):
        value = _edited(value, random)
    text = json.dumps(value, indent=random.choice((None, None, 1)))
    if random.random() < 0.1:  # what only text can say
        key = random.choice(('"', "{", "[", ":", ","))
        place = text.find(key, random.randrange(len(text)))
        odd = (
            '"x": 1, "x": 2, ',
            "[" * 100_000,
            "/* */",
            "\ufeff",
            '{"a":' * 5000,
            "1e400",
            "-",
            "\t",
        )
        text = text[: max(place, 0)] + random.choice(odd) + text[max(place, 0) :]
    return text.encode("utf-8", "surrogatepass")


def _toml_text(value: Any, random: Random) -> str:
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{json.dumps(k)} = {_toml_text(v, random)}" for k, v in value.items())
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(_toml_text(one, random) for one in value) + "]"
    if value is None:
        return random.choice(("nan", "inf", "1979-05-27", "0x10", "'''a'''"))
    return json.dumps(value)


def _toml(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    import tomllib

    try:
        value = tomllib.loads(content.decode())
    except ValueError:
        return mutated(content, others, random)
    if random.random() < 0.15:
        depth = random.choice((2, 15, 17, 300, 5000))
        key = ".".join(["a"] * depth)
        return random.choice((f"{key} = 1", f"[{key}]", f"a = {'[' * depth}{']' * depth}")).encode()
    value = _edited(value, random)
    if not isinstance(value, dict):
        value = {"extends": value}
    lines = []
    for key, one in value.items():
        quoted, way = json.dumps(key), random.randrange(8)
        if isinstance(one, dict) and one and way < 4:  # a table of its own, or dotted keys
            start = "" if way < 2 else f"{quoted}."
            inside = [f"{start}{json.dumps(k)} = {_toml_text(v, random)}" for k, v in one.items()]
            lines += inside if start else []
            lines += [] if start else [f"[{quoted}]", *inside, f"[x{len(lines)}]"]
        elif way == 7 and random.random() < 0.3:
            lines += [f"[[{quoted}]]", "a = 1", f"[[{quoted}]]"]
        else:
            lines.append(f"{quoted} = {_toml_text(one, random)}")
    return random.choice(("\n", "\n", "\r\n")).join(lines).encode("utf-8", "replace")


def _csv(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    rows = [line.split(",") for line in content.decode().splitlines()]
    for _ in range(random.choice((1, 1, 2, 3))):
        row = random.choice(rows)
        place = random.randrange(len(row))
        what = random.randrange(6)
        if what == 0:
            del row[place]
        elif what == 1:
            row.insert(place, row[place])
        elif what == 2:
            rows.insert(random.randrange(len(rows) + 1), list(row))
        else:
            row[place] = str(random.choice((*VALUES, "nan", "inf", "1e5", "1_0", "٣", "0x1")))[:99]
        rows = [row for row in rows if row] or [["0"]]
    if random.random() < 0.2:
        names = ["frame", "class", "source", "azimuth", "elevation", "distance_cm", "x", "y", "z"]
        random.shuffle(names)
        rows.insert(0, names[: len(rows[0])])
    parting = random.choice((",", ",", ",", ",", ";", "\t", ", "))
    quote = '"' if random.random() < 0.1 else ""
    lines = (parting.join(f"{quote}{text}{quote}" for text in row) for row in rows)
    text = random.choice(("\n", "\n", "\r\n", "\r", "\n\n")).join(lines)
    start = "\ufeff" if random.random() < 0.1 else ""
    return (start + text + random.choice(("", "\n"))).encode("utf-8", "surrogatepass")


def _safetensors(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    length = int.from_bytes(content[:8], "little")
    body = bytearray(content[8 + length :])
    what = random.randrange(3)
    header = content[8 : 8 + length]
    if what == 0 and body:  # numbers that mean nothing
        kind, value = random.choice((("<f4", np.nan), ("<f2", np.inf), ("<f4", 1e30), ("<f4", -1)))
        values = np.frombuffer(bytes(body[: len(body) // 4 * 4]), kind).copy()
        values[random.randrange(len(values))] = value
        body[: values.nbytes] = values.tobytes()
    else:
        header = _json(header, others, random)
        header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + bytes(body)


def _parquet(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Write the table again with another type, encoding, value, column, or claim in its header."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(content))
    options: dict[str, Any] = {"compression": random.choice(("zstd", "snappy", "gzip", "none"))}
    name = random.choice(table.column_names)
    place = table.schema.get_field_index(name)
    what = random.randrange(7)
    try:
        if what == 0:
            kind = random.choice((pa.int64(), pa.float64(), pa.string(), pa.int8(), pa.float32()))
            table = table.set_column(place, name, table[name].cast(kind))
        elif what == 1:
            whole = pa.types.is_integer(table.schema.field(name).type)
            other = "DELTA_BINARY_PACKED" if whole else "BYTE_STREAM_SPLIT"
            encoding = random.choice((other, "PLAIN"))
            options |= {"use_dictionary": False, "column_encoding": {name: encoding}}
        elif what == 2 and name != "energy_map":
            values = table[name].to_numpy().copy()
            values[random.randrange(len(values))] = random.choice((0, 1, -1, 100, 1e30, np.nan))
            array = pa.array(values, table.schema.field(name).type)
            table = table.set_column(place, table.schema.field(name), array)
        elif what == 3:
            table = random.choice(
                (table.drop_columns([name]), table.append_column(name + "2", table[name]))
            )
        elif what == 4:
            metadata = json.loads(table.schema.metadata[b"saiseld"])
            text = json.dumps(_edited(metadata, random)).encode("utf-8", "surrogatepass")
            table = table.replace_schema_metadata({b"saiseld": text})
        elif what == 5:
            options |= {"row_group_size": random.choice((1, 3)), "use_dictionary": False}
            table = pa.concat_tables([table] * random.choice((0, 1, 2, 30)) or [table.slice(0, 0)])
        else:
            order = list(range(len(table)))
            random.shuffle(order)
            table = table.take(order[: random.randrange(len(order) + 1)])
    except (pa.ArrowException, KeyError, ValueError, OverflowError):
        pass
    file = io.BytesIO()
    checksum = random.random() < 0.5
    try:
        pq.write_table(table, file, write_page_checksum=checksum, **options)
    except (pa.ArrowException, OSError):  # an encoding that this type does not have
        file = io.BytesIO()
        pq.write_table(table, file, write_page_checksum=checksum)
    written = file.getvalue()
    return mutated(written, others, random) if random.random() < 0.3 else written


def _graph(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Change a node, attribute, tensor or header of a graph; its digest is mostly right."""
    import onnx

    from saiseld.formats.graph import model_header
    from saiseld.formats.graph_check import OPERATORS, graph_digest

    model = onnx.load_from_string(content)
    nodes, tensors = model.graph.node, model.graph.initializer
    header = model_header(model)
    for _ in range(random.choice((1, 1, 2))):
        node, tensor = random.choice(nodes), random.choice(tensors)
        what = random.randrange(10)
        if what == 0:
            node.op_type = random.choice([*sorted(OPERATORS), "Loop", "If", "Scan", "RandomNormal"])
        elif what == 1 and node.attribute:
            attribute = random.choice(node.attribute)
            attribute.i = random.choice((0, 1, -1, 2**31, -(2**63), 2**63 - 1))
            attribute.f = random.choice((0.0, float("nan"), 1e30))
            if attribute.ints:
                place = random.randrange(len(attribute.ints))
                attribute.ints[place] = random.choice((0, -1, 1 << 20, 1 << 40))
            if attribute.HasField("t") and attribute.t.raw_data:
                attribute.t.raw_data = mutated(attribute.t.raw_data, others, random)
        elif what == 2 and node.input:
            node.input[random.randrange(len(node.input))] = random.choice(nodes).output[0]
        elif what == 3 and tensor.dims:
            tensor.dims[random.randrange(len(tensor.dims))] = random.choice((0, 1, 1 << 40))
        elif what == 4:
            tensor.data_type = random.randrange(24)
        elif what == 5 and tensor.external_data:
            entry = random.choice(tensor.external_data)
            entry.value = random.choice(("0", "-1", "99999999999", "/etc/passwd", "../x", "x"))
        elif what == 6:
            del nodes[random.randrange(len(nodes))]
        elif what == 7:
            nodes.insert(random.randrange(len(nodes)), node)
        elif what == 8:
            header = _edited(header, random)
        else:
            shape = [random.choice((1, 1 << 10, 1 << 20)) for _ in range(random.randrange(1, 4))]
            last = model.graph.output[0].name
            nodes.append(onnx.helper.make_node("Constant", [], ["new_shape"], value_ints=shape))
            nodes.append(onnx.helper.make_node("Expand", [last, "new_shape"], ["expanded"]))
            model.graph.output[0].name = "expanded"
    if isinstance(header, dict) and random.random() < 0.9:
        header = {**header, "graph": graph_digest(model.SerializeToString())}
    try:
        text = json.dumps(header)
        onnx.helper.set_model_props(model, {"saiseld": text})
    except (ValueError, TypeError):
        return content[: random.randrange(len(content))]
    return model.SerializeToString()


_STATEMENTS = (
    "UPDATE jobs SET {column} = {value}",
    "UPDATE jobs SET {column} = {value} WHERE rowid = 1",
    "ALTER TABLE jobs DROP COLUMN {column}",
    "ALTER TABLE jobs RENAME COLUMN {column} TO other",
    "INSERT INTO jobs (id, wish, state, created, touched) VALUES ({value}, '{{}}', 'open', 0, 0)",
    "CREATE TABLE {column} (x)",
    "CREATE VIEW v AS SELECT * FROM jobs",
    "CREATE TRIGGER t AFTER UPDATE ON jobs BEGIN DELETE FROM jobs; END",
    "DELETE FROM jobs",
    "DROP TABLE jobs",
    "PRAGMA user_version = 7",
)
_COLUMNS = ("id", "wish", "state", "share", "attempts", "created", "touched", "queued", "error")
_SQL = (
    *("NULL", "0", "-1", "1e308", "'x'", "''", "x'00ff'", "'../../x'", "'running'", "'deleted'"),
    *("9223372036854775807", "'{}'", "'[]'", "'{\"message\": 1}'"),
)


def _database(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    if random.random() < 0.3:
        return mutated(content, others, random)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "jobs.sqlite"
        path.write_bytes(content)
        table = sqlite3.connect(path)
        for _ in range(random.choice((1, 1, 2, 3))):
            statement = random.choice(_STATEMENTS).format(
                column=random.choice(_COLUMNS), value=random.choice(_SQL)
            )
            try:
                table.execute(statement)
                table.commit()
            except sqlite3.Error:
                table.rollback()
        table.close()
        return path.read_bytes()


def _other_seed(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    return random.randbytes(8)


CHANGES: dict[str, Change] = {
    **dict.fromkeys(KNOWN, _other_seed),
    "annotation JSON": _json,
    "candidates Parquet": _parquet,
    "DCASE CSV": _csv,
    "fusion JSON": _json,
    "class thresholds JSON": _json,
    "channel map JSON": _json,
    "array TOML": _toml,
    "class map TOML": _toml,
    "SOFA": hdf5,
    "room responses": _safetensors,
    "events CSV": _csv,
    "sound events CSV": _csv,
    "provenance": _json,
    "features": _safetensors,
    "weights safetensors": _safetensors,
    "weights pth": _torch_saved,
    "run state": _torch_saved,
    "matchability skops": _members,
    "graph ONNX": _graph,
    "jobs sqlite": _database,
    "WAV": wav,
    "FLAC": flac,
    "Ogg": ogg,
    "MP4": mp4,
    "Matroska": EBML.changed,
    "AVI": RIFF.changed,
    "PNG frames": png,
    "JPEG frames": jpeg,
    "recipe TOML": _toml,
}
"""What knows a reader's format; the caches, whose checksum fails, are damaged byte by byte."""


def changed(reader: str, content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Return content after a change that its format allows, now and then with damage on top."""
    change = CHANGES.get(reader, mutated)
    altered = change(content, others, random)
    return mutated(altered, others, random) if random.random() < 0.1 else altered
