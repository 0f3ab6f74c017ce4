//! JSON to and from Python objects, because importing `json` costs a start more than reading the files does.

use std::fmt;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Parses JSON (RFC 8259) from bytes or str. Raises ValueError naming line and column.
#[pyfunction]
pub fn json_loads<'py>(py: Python<'py>, data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let bytes = match data.cast::<PyString>() {
        Ok(text) => text.to_str()?.as_bytes(),
        Err(_) => data.extract::<&[u8]>()?,
    };
    parse(py, bytes, &Shape::All).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Which members of a JSON value are wanted.
pub enum Shape<'py> {
    /// The value with all that is in it.
    All,
    /// Of an object these; any other value whole.
    Members(Vec<(String, Bound<'py, PyString>, Shape<'py>)>),
}

impl<'py> Shape<'py> {
    /// From a dict of names to True or a further dict.
    pub fn from_python(value: &Bound<'py, PyAny>) -> PyResult<Self> {
        let Ok(members) = value.cast::<PyDict>() else { return Ok(Self::All) };
        let member = |(name, shape): (Bound<'py, PyAny>, Bound<'py, PyAny>)| {
            Ok((name.extract()?, name.cast_into()?, Self::from_python(&shape)?))
        };
        members.iter().map(member).collect::<PyResult<_>>().map(Self::Members)
    }
}

/// Parses what is wanted of JSON straight into Python objects; the rest is only looked through.
pub fn parse<'py>(py: Python<'py>, bytes: &[u8], shape: &Shape<'py>) -> serde_json::Result<Bound<'py, PyAny>> {
    let mut source = serde_json::Deserializer::from_slice(bytes);
    let value = Build { py, shape }.deserialize(&mut source)?;
    source.end().map(|()| value)
}

/// Makes a Python object of the next JSON value.
#[derive(Clone, Copy)]
struct Build<'a, 'py> {
    py: Python<'py>,
    shape: &'a Shape<'py>,
}

impl<'de, 'py> DeserializeSeed<'de> for Build<'_, 'py> {
    type Value = Bound<'py, PyAny>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, 'py> Visitor<'de> for Build<'_, 'py> {
    type Value = Bound<'py, PyAny>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(self.py.None().into_bound(self.py))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(PyBool::new(self.py, flag).to_owned().into_any())
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Self::Value, E> {
        number.into_pyobject(self.py).map(Bound::into_any).map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Self::Value, E> {
        number.into_pyobject(self.py).map(Bound::into_any).map_err(E::custom)
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(PyFloat::new(self.py, number).into_any())
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(PyString::new(self.py, text).into_any())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let list = PyList::empty(self.py);
        let whole = Build { py: self.py, shape: &Shape::All };
        while let Some(item) = items.next_element_seed(whole)? {
            list.append(item).map_err(A::Error::custom)?;
        }
        Ok(list.into_any())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let dict = PyDict::new(self.py);
        while let Some(place) = members.next_key_seed(Name(self))? {
            match place {
                Some((name, shape)) => {
                    let value = members.next_value_seed(Build { py: self.py, shape })?;
                    dict.set_item(name, value).map_err(A::Error::custom)?;
                }
                None => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(dict.into_any())
    }
}

/// Reads a member's name: as a key of the dict with what is wanted below it, or None where it is not wanted.
struct Name<'a, 'py>(Build<'a, 'py>);

impl<'de, 'a, 'py> DeserializeSeed<'de> for Name<'a, 'py> {
    type Value = Option<(Bound<'py, PyString>, &'a Shape<'py>)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a, 'py> Visitor<'_> for Name<'a, 'py> {
    type Value = Option<(Bound<'py, PyString>, &'a Shape<'py>)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(match self.0.shape {
            Shape::All => Some((PyString::new(self.0.py, text), &Shape::All)),
            Shape::Members(wanted) => {
                wanted.iter().find(|(name, ..)| name == text).map(|(_, name, shape)| (name.clone(), shape))
            }
        })
    }
}

/// Serialises dict, list, tuple, str, int, float, bool and None to UTF-8 bytes; indent is a number of spaces or None.
#[pyfunction]
#[pyo3(signature = (value, *, indent=None, sort_keys=false))]
pub fn json_dumps(value: &Bound<'_, PyAny>, indent: Option<usize>, sort_keys: bool) -> PyResult<Vec<u8>> {
    let mut value = from_python(value)?;
    if sort_keys {
        value.sort_all_objects();
    }
    let result = match indent {
        None => serde_json::to_vec(&value),
        Some(width) => {
            let spaces = vec![b' '; width];
            let mut out = Vec::new();
            let formatter = serde_json::ser::PrettyFormatter::with_indent(&spaces);
            let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
            serde::Serialize::serialize(&value, &mut serializer).map(|()| out)
        }
    };
    result.map_err(|error| PyValueError::new_err(error.to_string()))
}

fn from_python(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    if value.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Value::String(text.to_str()?.to_owned()));
    }
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(Value::Bool(flag.is_true()));
    }
    if value.is_instance_of::<PyInt>() {
        return match value.extract::<i64>() {
            Ok(integer) => Ok(integer.into()),
            Err(_) => Ok(value.extract::<u64>()?.into()),
        };
    }
    if let Ok(float) = value.cast::<PyFloat>() {
        return serde_json::Number::from_f64(float.value())
            .map(Value::Number)
            .ok_or_else(|| PyValueError::new_err("JSON has no NaN or infinity"));
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        let mut members = serde_json::Map::with_capacity(dict.len());
        for (key, member) in dict {
            members.insert(key.extract::<String>()?, from_python(&member)?);
        }
        return Ok(Value::Object(members));
    }
    if let Ok(list) = value.cast::<PyList>() {
        return list.iter().map(|item| from_python(&item)).collect::<PyResult<Vec<_>>>().map(Value::Array);
    }
    if let Ok(tuple) = value.cast::<PyTuple>() {
        return tuple.iter().map(|item| from_python(&item)).collect::<PyResult<Vec<_>>>().map(Value::Array);
    }
    Err(PyTypeError::new_err(format!("not JSON: {}", value.get_type().name()?)))
}
