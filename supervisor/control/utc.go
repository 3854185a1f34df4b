package control

import (
	"reflect"
	"time"
)

// InUTC returns a copy of v in which every time is in UTC. It is for what becomes
// JSON: a reader must not have to know the zone of the machine that wrote it, and
// some compare times as text.
func InUTC(v any) any {
	if v == nil {
		return nil
	}
	return inUTC(reflect.ValueOf(v)).Interface()
}

func inUTC(v reflect.Value) reflect.Value {
	if t, ok := reflect.TypeAssert[time.Time](v); ok {
		return reflect.ValueOf(t.UTC())
	}
	switch v.Kind() {
	case reflect.Struct:
		c := reflect.New(v.Type()).Elem()
		c.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				c.Field(i).Set(inUTC(v.Field(i)))
			}
		}
		return c
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return v
		}
		c := reflect.New(v.Elem().Type())
		c.Elem().Set(inUTC(v.Elem()))
		if v.Kind() == reflect.Interface {
			return c.Elem()
		}
		return c
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			c.Index(i).Set(inUTC(v.Index(i)))
		}
		return c
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		c := reflect.MakeMapWithSize(v.Type(), v.Len())
		for _, key := range v.MapKeys() {
			c.SetMapIndex(key, inUTC(v.MapIndex(key)))
		}
		return c
	}
	return v
}
