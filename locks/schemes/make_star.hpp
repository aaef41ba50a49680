// make.hpp with the locks as types: for the translation units of the native platform.
#pragma once

#include "locks/mutex/list.hpp"
#include "locks/range/list.hpp"
#include "locks/schemes/make.hpp"
#include "locks/shared/list.hpp"
