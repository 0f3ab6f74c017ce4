//! The flat encoding of operations: little machinery, no allocation, strings that are C strings where they lie.
//!
//! A field is a native-endian integer, or a `u32` length, the bytes, and a NUL. Both ends are one build of one machine;
//! nothing is kept, so there is no version.

use core::ffi::CStr;

/// Why a list of operations cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Reads fields one after another.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// True when every byte was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.rest.split_at_checked(count).ok_or(Malformed)?;
        self.rest = tail;
        Ok(head)
    }
}

/// Where encoded bytes go.
pub trait Sink {
    /// Appends.
    fn put(&mut self, bytes: &[u8]);
}

impl<F: FnMut(&[u8])> Sink for F {
    fn put(&mut self, bytes: &[u8]) {
        self(bytes);
    }
}

/// A value that can stand in an operation.
pub trait Field<'a>: Sized {
    /// Writes the value.
    fn encode(&self, sink: &mut dyn Sink);
    /// Reads the value.
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Malformed>;
}

macro_rules! integer_field {
    ($($ty:ty),*) => {$(
        impl<'a> Field<'a> for $ty {
            fn encode(&self, sink: &mut dyn Sink) {
                sink.put(&self.to_ne_bytes());
            }
            fn decode(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
                let bytes = reader.take(size_of::<$ty>())?;
                Ok(<$ty>::from_ne_bytes(bytes.try_into().map_err(|_| Malformed)?))
            }
        }
    )*};
}
integer_field!(u16, u32, i32, u64);

impl<'a> Field<'a> for bool {
    fn encode(&self, sink: &mut dyn Sink) {
        sink.put(&[u8::from(*self)]);
    }
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(reader.take(1)? == [1])
    }
}

#[allow(clippy::cast_possible_truncation)] // a field over 4 GiB cannot come out of a spec of 16 MiB
fn put_sized(bytes: &[u8], sink: &mut dyn Sink) {
    (bytes.len() as u32).encode(sink);
    sink.put(bytes);
}

impl<'a> Field<'a> for &'a [u8] {
    fn encode(&self, sink: &mut dyn Sink) {
        put_sized(self, sink);
    }
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let length = u32::decode(reader)? as usize;
        reader.take(length)
    }
}

impl<'a> Field<'a> for &'a CStr {
    fn encode(&self, sink: &mut dyn Sink) {
        put_sized(self.to_bytes_with_nul(), sink);
    }
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        CStr::from_bytes_with_nul(<&[u8]>::decode(reader)?).map_err(|_| Malformed)
    }
}

/// A list of C strings, encoded; built by [`Strings::push`] into a buffer of the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Strings<'a> {
    bytes: &'a [u8],
}

impl<'a> Strings<'a> {
    /// The list whose encoding was collected with [`Strings::push`].
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Appends the encoding of one string to `sink`.
    pub fn push(text: &CStr, sink: &mut dyn Sink) {
        text.encode(sink);
    }

    /// How many strings there are.
    pub fn count(&self) -> usize {
        self.iter().count()
    }

    /// The strings in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a CStr> + use<'a> {
        let mut reader = Reader::new(self.bytes);
        core::iter::from_fn(move || if reader.is_empty() { None } else { <&CStr>::decode(&mut reader).ok() })
    }
}

impl<'a> Field<'a> for Strings<'a> {
    fn encode(&self, sink: &mut dyn Sink) {
        self.bytes.encode(sink);
    }
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(Self { bytes: <&[u8]>::decode(reader)? })
    }
}

/// A list of 32-bit numbers, encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numbers<'a> {
    bytes: &'a [u8],
}

impl<'a> Numbers<'a> {
    /// The list whose numbers lie in `bytes` in native order, four bytes each.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// How many numbers there are.
    pub fn count(&self) -> usize {
        self.bytes.len() / 4
    }

    /// The numbers in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.bytes.chunks_exact(4).map(|word| u32::from_ne_bytes([word[0], word[1], word[2], word[3]]))
    }
}

impl<'a> Field<'a> for Numbers<'a> {
    fn encode(&self, sink: &mut dyn Sink) {
        self.bytes.encode(sink);
    }
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(Self { bytes: <&[u8]>::decode(reader)? })
    }
}
