//! JSON to and from Python objects, because importing `json` costs a start more than reading the files does.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::Value;

/// Parses JSON (RFC 8259) from bytes or str. Raises ValueError naming line and column.
#[pyfunction]
pub fn json_loads<'py>(py: Python<'py>, data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let value: Value = if let Ok(text) = data.cast::<PyString>() {
        serde_json::from_str(text.to_str()?)
    } else {
        serde_json::from_slice(data.extract::<&[u8]>()?)
    }
    .map_err(|error| PyValueError::new_err(error.to_string()))?;
    to_python(py, &value)
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

fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(flag) => PyBool::new(py, *flag).to_owned().into_any(),
        Value::Number(number) => number_to_python(py, number)?,
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(to_python(py, item)?)?;
            }
            list.into_any()
        }
        Value::Object(members) => {
            let dict = PyDict::new(py);
            for (key, member) in members {
                dict.set_item(key, to_python(py, member)?)?;
            }
            dict.into_any()
        }
    })
}

fn number_to_python<'py>(py: Python<'py>, number: &serde_json::Number) -> PyResult<Bound<'py, PyAny>> {
    if let Some(integer) = number.as_i64() {
        return Ok(integer.into_pyobject(py)?.into_any());
    }
    if let Some(integer) = number.as_u64() {
        return Ok(integer.into_pyobject(py)?.into_any());
    }
    let float = number.as_f64().ok_or_else(|| PyValueError::new_err("number out of range"))?;
    Ok(PyFloat::new(py, float).into_any())
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
