//! Policy files to `model::Policy`.
