//go:build !unix

package main

import "errors"

func (a account) assume() error { return errors.New("this system has no users to become") }
