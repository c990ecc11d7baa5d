//! The Python names that the pickle of a torch file may use. None of them is ever imported.

use super::elements::Element;

/// The names that a pickle may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    /// `_rebuild_tensor` and `_rebuild_tensor_v2`.
    Tensor,
    /// `_rebuild_tensor_v3`: the element type is an argument of its own.
    TypedTensor,
    /// `_rebuild_parameter`, with or without state.
    Parameter,
    /// `_rebuild_from_type_v2`: a tensor with attributes.
    FromType,
    /// The classes of tensors and parameters.
    Class,
    Size,
    /// A storage class; `None` for a storage of bytes, which has no element type.
    Storage(Option<Element>),
    Type(Element),
    /// Classes of values that are not part of a tensor.
    Other,
}

impl Global {
    /// The meaning of `module.name` in a pickle; `None` for every name that is not on the list.
    pub fn of(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Global::Tensor,
            ("torch._utils", "_rebuild_tensor_v3") => Global::TypedTensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Global::Parameter,
            ("torch._tensor", "_rebuild_from_type_v2") => Global::FromType,
            ("torch", "Tensor") | ("torch.nn.parameter", "Parameter" | "Buffer") => Global::Class,
            ("torch", "Size") => Global::Size,
            ("torch", "device") | ("_codecs", "encode") => Global::Other,
            ("builtins" | "__builtin__", "set" | "frozenset" | "complex" | "bytearray") => Global::Other,
            ("torch" | "torch.storage", "UntypedStorage") => Global::Storage(None),
            ("torch" | "torch.cuda", name) => match name.strip_suffix("Storage") {
                Some(name) => Global::Storage(Some(storage_element(name)?)),
                None => Global::Type(element(name)?),
            },
            _ => return None,
        })
    }
}

fn storage_element(name: &str) -> Option<Element> {
    Some(match name {
        "Double" => Element::F64,
        "Float" => Element::F32,
        "Half" => Element::F16,
        "BFloat16" => Element::BF16,
        "Long" => Element::I64,
        "Int" => Element::I32,
        "Short" => Element::I16,
        "Char" => Element::I8,
        "Byte" => Element::U8,
        "Bool" => Element::Bool,
        _ => return None,
    })
}

fn element(name: &str) -> Option<Element> {
    Some(match name {
        "float64" => Element::F64,
        "float32" => Element::F32,
        "float16" => Element::F16,
        "bfloat16" => Element::BF16,
        "int64" => Element::I64,
        "int32" => Element::I32,
        "int16" => Element::I16,
        "int8" => Element::I8,
        "uint64" => Element::U64,
        "uint32" => Element::U32,
        "uint16" => Element::U16,
        "uint8" => Element::U8,
        "bool" => Element::Bool,
        _ => return None,
    })
}
