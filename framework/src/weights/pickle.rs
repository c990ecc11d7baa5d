//! Pickles of torch files, parsed as data: names come from a short list, and nothing is imported or run.
//!
//! Every opcode adds at most one value, and the size of that is bounded by the bytes that the opcode read. So the
//! memory stays in proportion to the file, whatever a pickle repeats or refers to.

use super::globals::Global;
use super::{DAMAGED, RESAVE};
use crate::error::{Error, Result};
use std::collections::HashMap;

const MAX_BYTES: usize = 64 << 20;
const MAX_OPCODES: usize = 1 << 21;
const MAX_STACK: usize = 1 << 16;
const MAX_MEMO: usize = 1 << 20;
const MAX_TEXT: usize = 1 << 20;

const PLAIN: &str = "only dense tensors are read, of floats of 16 bits and more, integers and truth values: convert \
                     sparse, complex, quantized and 8-bit float tensors before saving";

/// The place of a value in [`Pickle::values`].
pub(super) type Id = usize;

#[derive(Debug)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Text(String),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    /// A call with a tuple of arguments, which is not made.
    Call(Global, Id),
    /// What `persistent_id` gave for an object outside of the pickle: for torch, a storage.
    Persistent(Id),
    /// Fractions, bytes, numbers above 64 bits and what calls of [`Global::Other`] would make.
    Other,
}

/// The values of a pickle; they refer to each other by place, also in circles.
#[derive(Debug)]
pub(super) struct Pickle {
    pub values: Vec<Value>,
    pub root: Id,
}

impl Pickle {
    /// What a value is, for messages.
    pub fn kind(&self, id: Id) -> &'static str {
        match &self.values[id] {
            Value::None => "None",
            Value::Bool(_) => "a truth value",
            Value::Int(_) => "a whole number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Tuple(_) => "a tuple",
            Value::Dict(_) => "a dict",
            Value::Global(_) => "a class",
            Value::Call(Global::Tensor | Global::TypedTensor | Global::Parameter | Global::FromType, _) => "a tensor",
            Value::Call(..) => "an object",
            Value::Persistent(_) => "a bare storage",
            Value::Other => "a value of another kind",
        }
    }
}

/// Parses the pickle at the start of `bytes`; returns it with the number of its bytes. `name` is used in messages.
pub(super) fn parse(name: &str, bytes: &[u8]) -> Result<(Pickle, usize)> {
    let mut machine = Machine {
        name,
        bytes: &bytes[..bytes.len().min(MAX_BYTES)],
        at: 0,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    for _ in 0..MAX_OPCODES {
        if let Some(root) = machine.step()? {
            return Ok((Pickle { values: machine.values, root }, machine.at));
        }
    }
    Err(machine.bad(&format!("it has more than {MAX_OPCODES} steps")))
}

struct Machine<'a> {
    name: &'a str,
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack at each open mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    fn bad(&self, what: &str) -> Error {
        Error::failed(format!("{}: the pickle cannot be read: {what} (at its byte {})", self.name, self.at))
            .help(DAMAGED)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let rest: &'a [u8] = &self.bytes[self.at..];
        match rest.get(..count) {
            Some(taken) => {
                self.at += count;
                Ok(taken)
            }
            None => Err(self.bad(&format!("it ends early, or is larger than {MAX_BYTES} bytes"))),
        }
    }

    /// A little-endian number of up to 8 bytes.
    fn number(&mut self, bytes: usize) -> Result<u64> {
        Ok(self.take(bytes)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Content whose length stands before it in `bytes` bytes.
    fn counted(&mut self, bytes: usize) -> Result<&'a [u8]> {
        let count = self.number(bytes)?;
        self.take(usize::try_from(count).unwrap_or(usize::MAX))
    }

    fn line(&mut self) -> Result<&'a str> {
        let rest: &'a [u8] = &self.bytes[self.at..];
        let end = rest.iter().take(MAX_TEXT).position(|byte| *byte == b'\n');
        let line = end.and_then(|end| std::str::from_utf8(&rest[..end]).ok());
        let line = line.ok_or_else(|| self.bad("a line is not text"))?;
        self.at += line.len() + 1;
        Ok(line)
    }

    fn push(&mut self, value: Value) -> Result<()> {
        self.values.push(value);
        self.push_id(self.values.len() - 1)
    }

    fn push_id(&mut self, id: Id) -> Result<()> {
        if self.stack.len() >= MAX_STACK {
            return Err(self.bad(&format!("its stack is deeper than {MAX_STACK}")));
        }
        self.stack.push(id);
        Ok(())
    }

    fn push_text(&mut self, text: &[u8]) -> Result<()> {
        match std::str::from_utf8(text) {
            Ok(text) if text.len() <= MAX_TEXT => self.push(Value::Text(text.to_owned())),
            Ok(_) => Err(self.bad(&format!("a text is longer than {MAX_TEXT} bytes"))),
            Err(_) => Err(self.bad("a text is not UTF-8")),
        }
    }

    /// The value on top of the stack, above the last mark.
    fn top(&self) -> Result<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.last() {
            Some(id) if self.stack.len() > floor => Ok(*id),
            _ => Err(self.bad("its stack is empty")),
        }
    }

    fn pop(&mut self) -> Result<Id> {
        let id = self.top()?;
        self.stack.pop();
        Ok(id)
    }

    /// All values above the last mark, which is closed.
    fn pop_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| self.bad("a mark is missing"))?;
        Ok(self.stack.split_off(mark))
    }

    fn push_tuple(&mut self, count: usize) -> Result<()> {
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push(Value::Tuple(items))
    }

    fn pairs(&self, items: Vec<Id>) -> Result<Vec<(Id, Id)>> {
        match items.as_chunks() {
            (pairs, []) => Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect()),
            _ => Err(self.bad("a dict has a key without a value")),
        }
    }

    fn set_items(&mut self, items: Vec<Id>) -> Result<()> {
        let pairs = self.pairs(items)?;
        let target = self.top()?;
        match &mut self.values[target] {
            Value::Dict(entries) => {
                entries.extend(pairs);
                Ok(())
            }
            _ => Err(self.bad("items are set in what is not a dict")),
        }
    }

    fn append(&mut self, items: Vec<Id>) -> Result<()> {
        let target = self.top()?;
        match &mut self.values[target] {
            Value::List(list) => {
                list.extend(items);
                Ok(())
            }
            _ => Err(self.bad("items are appended to what is not a list")),
        }
    }

    fn push_global(&mut self, module: &str, name: &str) -> Result<()> {
        match Global::of(module, name) {
            Some(global) => self.push(Value::Global(global)),
            None => {
                let global: String = format!("{module}.{name}").chars().take(100).collect();
                Err(Error::failed(format!(
                    "{} is not a plain state dict: its pickle asks for {}, which is not among what is read (nothing \
                     was run)",
                    self.name,
                    global.escape_debug()
                ))
                .help(if matches!(module, "torch" | "torch._utils") { PLAIN } else { RESAVE }))
            }
        }
    }

    fn call(&mut self) -> Result<()> {
        let arguments = self.pop()?;
        let callee = self.pop()?;
        let value = match (&self.values[callee], &self.values[arguments]) {
            (Value::Global(Global::OrderedDict), Value::Tuple(none)) if none.is_empty() => Value::Dict(Vec::new()),
            (Value::Global(Global::Other), Value::Tuple(_)) => Value::Other,
            (Value::Global(global), Value::Tuple(_)) if *global != Global::OrderedDict => {
                Value::Call(*global, arguments)
            }
            _ => return Err(self.bad("a call in it has no meaning")),
        };
        self.push(value)
    }

    fn remember(&mut self, key: u64) -> Result<()> {
        let id = self.top()?;
        match u32::try_from(key) {
            Ok(key) if self.memo.len() < MAX_MEMO => {
                self.memo.insert(key, id);
                Ok(())
            }
            _ => Err(self.bad(&format!("its memo is larger than {MAX_MEMO}"))),
        }
    }

    fn recall(&mut self, key: u64) -> Result<()> {
        let id = u32::try_from(key).ok().and_then(|key| self.memo.get(&key).copied());
        self.push_id(id.ok_or_else(|| self.bad("it refers to what was not kept"))?)
    }

    fn line_number(&mut self) -> Result<u64> {
        self.line()?.parse().map_err(|_| self.bad("a line is not a number"))
    }

    /// The text form of a number or truth value.
    fn push_literal(&mut self) -> Result<()> {
        let text = self.line()?;
        let digits = text.strip_suffix('L').unwrap_or(text);
        let value = match text {
            "00" => Value::Bool(false),
            "01" => Value::Bool(true),
            _ if digits.bytes().any(|byte| !(byte.is_ascii_digit() || byte == b'-')) => {
                return Err(self.bad("a line is not a number"));
            }
            _ => digits.parse().map_or(Value::Other, Value::Int),
        };
        self.push(value)
    }

    fn push_long(&mut self, bytes: &[u8]) -> Result<()> {
        let value = match bytes {
            [] => Value::Int(0),
            [.., last] if bytes.len() <= 8 => {
                let mut whole = [if last & 0x80 == 0 { 0 } else { 0xff }; 8];
                whole[..bytes.len()].copy_from_slice(bytes);
                Value::Int(i64::from_le_bytes(whole))
            }
            _ => Value::Other,
        };
        self.push(value)
    }

    /// Executes one opcode; returns the result after the last one.
    fn step(&mut self) -> Result<Option<Id>> {
        match self.number(1)? as u8 {
            b'.' => return self.pop().map(Some),
            // Protocol and frames.
            0x80 => match self.number(1)? {
                0..=5 => {}
                protocol => return Err(self.bad(&format!("protocol {protocol} is not known"))),
            },
            0x95 => _ = self.take(8)?,
            // Stack and memo.
            b'(' if self.marks.len() >= MAX_STACK => return Err(self.bad("it has too many marks")),
            b'(' => self.marks.push(self.stack.len()),
            b'0' if self.marks.last() == Some(&self.stack.len()) => _ = self.marks.pop(),
            b'0' => _ = self.pop()?,
            b'1' => _ = self.pop_mark()?,
            b'2' => self.push_id(self.top()?)?,
            b'p' => self.line_number().and_then(|key| self.remember(key))?,
            b'q' => self.number(1).and_then(|key| self.remember(key))?,
            b'r' => self.number(4).and_then(|key| self.remember(key))?,
            0x94 => self.remember(self.memo.len() as u64)?,
            b'g' => self.line_number().and_then(|key| self.recall(key))?,
            b'h' => self.number(1).and_then(|key| self.recall(key))?,
            b'j' => self.number(4).and_then(|key| self.recall(key))?,
            // Single values.
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'K' => self.number(1).and_then(|number| self.push(Value::Int(number as i64)))?,
            b'M' => self.number(2).and_then(|number| self.push(Value::Int(number as i64)))?,
            b'J' => self.number(4).and_then(|number| self.push(Value::Int((number as i32).into())))?,
            0x8a => self.counted(1).and_then(|bytes| self.push_long(bytes))?,
            0x8b => self.counted(4).and_then(|bytes| self.push_long(bytes))?,
            b'I' | b'L' => self.push_literal()?,
            b'F' => self.line().and_then(|_| self.push(Value::Other))?,
            b'G' => self.take(8).and_then(|_| self.push(Value::Other))?,
            b'U' | 0x8c => self.counted(1).and_then(|text| self.push_text(text))?,
            b'T' | b'X' => self.counted(4).and_then(|text| self.push_text(text))?,
            0x8d => self.counted(8).and_then(|text| self.push_text(text))?,
            b'V' => self.line().and_then(|text| self.push_text(text.as_bytes()))?,
            b'C' => self.counted(1).and_then(|_| self.push(Value::Other))?,
            b'B' => self.counted(4).and_then(|_| self.push(Value::Other))?,
            0x8e | 0x96 => self.counted(8).and_then(|_| self.push(Value::Other))?,
            // Tuples, lists, sets (as lists) and dicts.
            b')' => self.push_tuple(0)?,
            count @ 0x85..=0x87 => self.push_tuple(usize::from(count - 0x84))?,
            b't' => self.pop_mark().and_then(|items| self.push(Value::Tuple(items)))?,
            b']' | 0x8f => self.push(Value::List(Vec::new()))?,
            b'l' | 0x91 => self.pop_mark().and_then(|items| self.push(Value::List(items)))?,
            b'a' => self.pop().and_then(|item| self.append(vec![item]))?,
            b'e' | 0x90 => self.pop_mark().and_then(|items| self.append(items))?,
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b'd' => {
                self.pop_mark().and_then(|items| self.pairs(items)).and_then(|pairs| self.push(Value::Dict(pairs)))?
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(vec![key, value])?;
            }
            b'u' => self.pop_mark().and_then(|items| self.set_items(items))?,
            // Names, objects and what lies outside.
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push_global(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let text = |id: Id| match &self.values[id] {
                    Value::Text(text) => Ok(text.clone()),
                    _ => Err(self.bad("a name is not a text")),
                };
                let (module, name) = (text(module)?, text(name)?);
                self.push_global(&module, &name)?;
            }
            b'R' | 0x81 => self.call()?,
            b'b' => {
                // Attributes, as the versions that a state dict carries, are no part of a tensor.
                let (_, target) = (self.pop()?, self.top()?);
                if !matches!(self.values[target], Value::Dict(_) | Value::Call(..) | Value::Other) {
                    return Err(self.bad("attributes are given to what has none"));
                }
            }
            b'Q' => self.pop().and_then(|id| self.push(Value::Persistent(id)))?,
            b'P' => {
                return Err(Error::failed(format!("{}: pickle protocol 0 does not hold tensors", self.name))
                    .help("save it again without `pickle_protocol`"));
            }
            opcode => return Err(self.bad(&format!("opcode {opcode:#04x} is not used for state dicts"))),
        }
        Ok(None)
    }
}
