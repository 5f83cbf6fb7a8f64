//! The macros that export a type as a component: one for each world, used once in a crate, at the top level of a
//! `cdylib`. Each adds exactly the exports of its world, from which the host recognises the roles.

/// Exports a [`Worker`](crate::Worker).
#[macro_export]
macro_rules! export_worker {
    ($worker:ty) => {
        $crate::__export! { worker, { worker $worker } }
    };
}

/// Exports an [`AsyncWorker`](crate::AsyncWorker).
#[macro_export]
macro_rules! export_async_worker {
    ($worker:ty) => {
        $crate::__export! { worker_async, { worker_async $worker } }
    };
}

/// Exports an [`Operation`](crate::Operation).
#[macro_export]
macro_rules! export_operation {
    ($operation:ty) => {
        $crate::__export! { operation, { operation $operation } }
    };
}

/// Exports an [`AsyncOperation`](crate::AsyncOperation).
#[macro_export]
macro_rules! export_async_operation {
    ($operation:ty) => {
        $crate::__export! { operation_async, { operation_async $operation } }
    };
}

/// Exports an [`Operation`](crate::Operation) and its own [`Worker`](crate::Worker) as one component.
#[macro_export]
macro_rules! export_both {
    ($operation:ty, $worker:ty) => {
        $crate::__export! { both, { operation $operation } { worker $worker } }
    };
}

/// Exports an [`AsyncOperation`](crate::AsyncOperation) and its own [`AsyncWorker`](crate::AsyncWorker) as one
/// component.
#[macro_export]
macro_rules! export_both_async {
    ($operation:ty, $worker:ty) => {
        $crate::__export! { both_async, { operation_async $operation } { worker_async $worker } }
    };
}

/// Exports one world, from the functions of its roles.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($world:ident, $({ $role:ident $type:ty })+) => {
        const _: () = {
            struct Component;
            $($crate::__state! { $role $type })+
            impl $crate::__private::$world::Guest for Component {
                $($crate::__functions! { $role $type })+
            }
            $crate::__private::$world::export!(Component with_types_in $crate::__private::$world);
        };
    };
}

/// The state of a role. An instance has one thread and is not entered twice, so a cell is enough.
#[doc(hidden)]
#[macro_export]
macro_rules! __state {
    (worker $type:ty) => {
        ::std::thread_local! {
            static WORKER: ::std::cell::RefCell<$type> = ::std::cell::RefCell::default();
        }
    };
    (worker_async $type:ty) => {
        ::std::thread_local! {
            static WORKER: ::std::rc::Rc<$type> = ::std::rc::Rc::default();
        }
    };
    ($operation:ident $type:ty) => {
        ::std::thread_local! {
            static PLANNER: ::std::cell::RefCell<$type> = ::std::cell::RefCell::default();
        }
    };
}

/// The exported functions of a role.
#[doc(hidden)]
#[macro_export]
macro_rules! __functions {
    (worker $type:ty) => {
        fn handle(
            action: $crate::__private::Action,
        ) -> ::std::result::Result<::std::vec::Vec<u8>, $crate::__private::Failure> {
            WORKER.with_borrow_mut(|worker| $crate::__private::handle::<$type>(worker, action))
        }
    };
    (worker_async $type:ty) => {
        async fn handle(
            action: $crate::__private::Action,
        ) -> ::std::result::Result<::std::vec::Vec<u8>, $crate::__private::Failure> {
            let worker = WORKER.with(::std::rc::Rc::clone);
            $crate::__private::handle_async::<$type>(&worker, action).await
        }
    };
    (operation $type:ty) => {
        fn next() -> ::std::option::Option<::std::vec::Vec<u8>> {
            PLANNER.with_borrow_mut(|planner| $crate::__private::next::<$type>(planner))
        }

        fn run(task: ::std::vec::Vec<u8>) -> ::std::result::Result<::std::vec::Vec<u8>, ::std::string::String> {
            $crate::__private::run::<$type>(task)
        }

        fn collect(
            task: ::std::vec::Vec<u8>,
            outcome: ::std::result::Result<::std::vec::Vec<u8>, ::std::string::String>,
        ) {
            PLANNER.with_borrow_mut(|planner| $crate::__private::collect::<$type>(planner, task, outcome))
        }

        fn finish() -> ::std::result::Result<(), ::std::string::String> {
            PLANNER.with_borrow_mut(|planner| $crate::__private::finish::<$type>(planner))
        }
    };
    (operation_async $type:ty) => {
        fn next() -> ::std::option::Option<::std::vec::Vec<u8>> {
            PLANNER.with_borrow_mut(|planner| $crate::__private::next_async::<$type>(planner))
        }

        async fn run(task: ::std::vec::Vec<u8>) -> ::std::result::Result<::std::vec::Vec<u8>, ::std::string::String> {
            $crate::__private::run_async::<$type>(task).await
        }

        fn collect(
            task: ::std::vec::Vec<u8>,
            outcome: ::std::result::Result<::std::vec::Vec<u8>, ::std::string::String>,
        ) {
            PLANNER.with_borrow_mut(|planner| $crate::__private::collect_async::<$type>(planner, task, outcome))
        }

        fn finish() -> ::std::result::Result<(), ::std::string::String> {
            PLANNER.with_borrow_mut(|planner| $crate::__private::finish_async::<$type>(planner))
        }
    };
}
