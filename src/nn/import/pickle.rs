//! Pickles read as data: the opcodes that PyTorch's checkpoints are made of (Python's `pickletools` describes them).
//!
//! Nothing is ever called. A checkpoint that names a function which plain tensors do not need is refused. Values lie
//! in one list and refer to each other by number, so that memory is linear in the file, and neither cycles nor depth
//! do harm.

/// A value's number in [`Pickle::values`].
pub(super) type Id = usize;

/// What a pickle can hold, as far as checkpoints need it.
#[derive(Debug)]
pub(super) enum Value {
    /// None, a truth value, a float, bytes: of no interest.
    Other,
    Int(i64),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// `module.name`
    Global(String),
    /// A persistent id: PyTorch's storages.
    Stored(Id),
    /// What would be a call: function and arguments.
    Call(Id, Id),
}

/// A parsed pickle.
pub(super) struct Pickle {
    values: Vec<Value>,
    root: Id,
}

/// Functions and types that checkpoints of plain tensors name. All of them stay names here.
const KNOWN: [&str; 10] = [
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "torch.Size",
    "torch.device",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "_codecs.encode",
    "torch.serialization._get_layout",
];

impl Pickle {
    /// # Errors
    /// It breaks off, has an opcode that checkpoints do not need, or names an unknown function.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut machine = Machine {
            rest: bytes,
            ..Machine::default()
        };
        while machine.step()? {}
        let root = machine.pop()?;
        Ok(Self {
            values: machine.values,
            root,
        })
    }

    pub fn root(&self) -> Id {
        self.root
    }

    pub fn get(&self, id: Id) -> &Value {
        self.values.get(id).unwrap_or(&Value::Other)
    }

    pub fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn global(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Global(name) => Some(name),
            _ => None,
        }
    }

    pub fn tuple(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    pub fn size(&self, id: Id) -> Option<usize> {
        match self.get(id) {
            Value::Int(n) => usize::try_from(*n).ok(),
            _ => None,
        }
    }

    /// The items of a dict whose keys are texts; of two with one key the later counts.
    pub fn entries(&self, id: Id) -> Vec<(&str, Id)> {
        match self.get(id) {
            Value::Dict(items) => items.iter().filter_map(|(k, v)| Some((self.text(*k)?, *v))).collect(),
            _ => Vec::new(),
        }
    }
}

/// The pickle machine's stack, marks and memo.
#[derive(Default)]
struct Machine<'a> {
    rest: &'a [u8],
    values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: std::collections::HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    /// One opcode; false at the end.
    fn step(&mut self) -> Result<bool, String> {
        let op = self.byte()?;
        match op {
            b'.' => return Ok(false),
            0x80 => drop(self.byte()?),
            // FRAME
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.since_mark()?),
            b'N' | 0x88 | 0x89 => self.push(Value::Other),
            b'G' => self.skip_value(8)?,
            b'K' => self.int(1)?,
            b'M' => self.int(2)?,
            b'J' => {
                let n = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(n.into()));
            }
            // LONG1: little-endian, of as many bytes as it says.
            0x8a => self.long()?,
            b'X' => {
                let length = self.word()?;
                self.text(length)?;
            }
            0x8c => {
                let length = self.byte()?.into();
                self.text(length)?;
            }
            // Bytes and old strings of a byte's or a word's length.
            b'C' | b'U' => {
                let length = self.byte()?.into();
                self.skip_value(length)?;
            }
            b'B' | b'T' => {
                let length = self.word()?;
                self.skip_value(length)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(&module, &name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let word = |id| match &self.values[id] {
                    Value::Text(text) => Ok(text.clone()),
                    _ => Err("names a function by something that is no text".to_owned()),
                };
                let (module, name) = (word(module)?, word(name)?);
                self.global(&module, &name)?;
            }
            b')' => self.push(Value::Tuple(Vec::new())),
            b']' => self.push(Value::List(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            b't' => {
                let items = self.since_mark()?;
                self.push(Value::Tuple(items));
            }
            0x85..=0x87 => {
                let from = self.depth(usize::from(op - 0x84))?;
                let items = self.stack.split_off(from);
                self.push(Value::Tuple(items));
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Stored(id));
            }
            // REDUCE and NEWOBJ
            b'R' | 0x81 => {
                let (args, function) = (self.pop()?, self.pop()?);
                let dict = matches!(&self.values[function], Value::Global(g) if g == "collections.OrderedDict");
                self.push(if dict {
                    Value::Dict(Vec::new())
                } else {
                    Value::Call(function, args)
                });
            }
            // BUILD: the state of an object, such as a state dict's version
            b'b' => drop(self.pop()?),
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.append(items)?;
            }
            b's' => {
                let from = self.depth(2)?;
                let items = self.stack.split_off(from);
                self.set(&items)?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set(&items)?;
            }
            b'q' => {
                let key = self.byte()?.into();
                self.put(key)?;
            }
            b'r' => {
                let key = self.word()? as u32;
                self.put(key)?;
            }
            // MEMOIZE
            0x94 => self.put(self.memo.len() as u32)?,
            b'h' => {
                let key = self.byte()?.into();
                self.recall(key)?;
            }
            b'j' => {
                let key = self.word()? as u32;
                self.recall(key)?;
            }
            _ => {
                return Err(format!(
                    "has the opcode 0x{op:02x}, which no checkpoint of plain tensors needs"
                ));
            }
        }
        Ok(true)
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let (part, rest) = self.rest.split_at_checked(n).ok_or("breaks off")?;
        self.rest = rest;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| "breaks off".to_owned())
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.array::<1>()?[0])
    }

    fn word(&mut self) -> Result<usize, String> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn line(&mut self) -> Result<String, String> {
        let end = self.rest.iter().position(|b| *b == b'\n').ok_or("breaks off")?;
        let line = String::from_utf8_lossy(&self.rest[..end]).into_owned();
        self.rest = &self.rest[end + 1..];
        Ok(line)
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn pop(&mut self) -> Result<Id, String> {
        self.stack
            .pop()
            .ok_or_else(|| "takes more from its stack than there is".to_owned())
    }

    fn depth(&self, n: usize) -> Result<usize, String> {
        let from = self.stack.len().checked_sub(n);
        from.ok_or_else(|| "takes more from its stack than there is".to_owned())
    }

    fn since_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().filter(|m| *m <= self.stack.len());
        Ok(self.stack.split_off(mark.ok_or("lacks a mark")?))
    }

    fn skip_value(&mut self, n: usize) -> Result<(), String> {
        self.take(n)?;
        self.push(Value::Other);
        Ok(())
    }

    fn int(&mut self, bytes: usize) -> Result<(), String> {
        let n = self.take(bytes)?.iter().rev().fold(0, |n, b| n << 8 | i64::from(*b));
        self.push(Value::Int(n));
        Ok(())
    }

    fn long(&mut self) -> Result<(), String> {
        let length = self.byte()?.into();
        let bytes = self.take(length)?;
        let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
        let value = match bytes.len() {
            0..=8 if !negative => Value::Int(bytes.iter().rev().fold(0, |n, b| n << 8 | i64::from(*b))),
            _ => Value::Other,
        };
        self.push(value);
        Ok(())
    }

    fn text(&mut self, length: usize) -> Result<(), String> {
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.push(Value::Text(text));
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), String> {
        let full = format!("{module}.{name}");
        let storage = module == "torch" && name.ends_with("Storage");
        if !storage && !KNOWN.contains(&full.as_str()) {
            return Err(format!(
                "names {full:?}, which no checkpoint of plain tensors needs; nothing of it was run"
            ));
        }
        self.push(Value::Global(full));
        Ok(())
    }

    fn append(&mut self, new: Vec<Id>) -> Result<(), String> {
        let top = self.depth(1)?;
        if let Value::List(items) = &mut self.values[self.stack[top]] {
            items.extend(new);
        }
        Ok(())
    }

    fn set(&mut self, new: &[Id]) -> Result<(), String> {
        let top = self.depth(1)?;
        if let Value::Dict(items) = &mut self.values[self.stack[top]] {
            items.extend(new.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        }
        Ok(())
    }

    fn put(&mut self, key: u32) -> Result<(), String> {
        let top = self.depth(1)?;
        self.memo.insert(key, self.stack[top]);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<(), String> {
        let id = self.memo.get(&key).ok_or("recalls what it never kept")?;
        self.stack.push(*id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_function_that_tensors_do_not_need_is_refused_by_name() {
        let evil = b"\x80\x02cposix\nsystem\nX\x05\x00\x00\x00falseR.";
        assert!(Pickle::parse(evil).err().unwrap().contains("posix.system"));
        let by_stack = b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93.";
        assert!(Pickle::parse(by_stack).err().unwrap().contains("builtins.exec"));
    }

    #[test]
    fn depth_and_doubling_cost_no_more_than_the_file() {
        // A million tuples in one another.
        let mut deep = b"\x80\x02N".to_vec();
        deep.extend(std::iter::repeat_n(0x85, 1_000_000));
        deep.push(b'.');
        assert!(Pickle::parse(&deep).is_ok());
        // Each level holds the one below twice: 2^60 leaves if anybody copied them.
        let mut laughs = b"\x80\x02N".to_vec();
        for level in 0u8..60 {
            laughs.extend([b'q', level, b'h', level, 0x86]);
        }
        laughs.push(b'.');
        assert!(Pickle::parse(&laughs).is_ok());
        // A text that says it has 4 GB, a pop too many, a mark too few.
        for bytes in [&b"X\xff\xff\xff\xffa."[..], b"0.", b"t.", b"h\x01.", b"", b"s."] {
            assert!(Pickle::parse(bytes).is_err());
        }
    }

    proptest! {
        #[test]
        fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Pickle::parse(&bytes);
        }
    }
}
