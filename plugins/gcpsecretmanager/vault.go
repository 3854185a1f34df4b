package gcpsecretmanager

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"path"
	"slices"
	"strconv"
	"time"

	"cloud.google.com/go/iam/apiv1/iampb"
	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/api/iterator"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// maxPayload of a version: https://cloud.google.com/secret-manager/quotas
const maxPayload = 64 << 10

// vault is one secret at the service. It makes each call once.
type vault struct {
	client *secretmanager.Client
	settings
}

// version of a secret with its data.
type version struct {
	// number is 0 if there is none.
	number  int64
	payload []byte
	// isLatest: it is the version that was added last, so that the next one
	// that is added has the next number.
	isLatest bool
}

// newest returns the newest version that can be read. atLeast is the highest
// number that is known to have been added: the alias "latest" is only
// eventually consistent, reading by number is not
// (https://cloud.google.com/secret-manager/docs/creating-and-accessing-secrets#consistency).
func (v *vault) newest(ctx context.Context, atLeast int64) (version, error) {
	found, err := v.access(ctx, "latest")
	if err == nil && found.number >= atLeast {
		found.isLatest = true
		return found, nil
	}
	if err != nil && !isMissing(err) {
		return version{}, v.explain(ctx, "read", err)
	}
	if atLeast > 0 {
		if known, err := v.access(ctx, strconv.FormatInt(atLeast, 10)); err == nil {
			known.isLatest = true
			return known, nil
		} else if !isMissing(err) {
			return version{}, v.explain(ctx, "read", err)
		}
	}
	if status.Code(err) == codes.NotFound && atLeast == 0 {
		return version{isLatest: true}, nil
	}
	// The latest has been disabled or destroyed.
	enabled, err := v.enabled(ctx, 1)
	if err != nil || len(enabled) == 0 {
		return version{}, err
	}
	found, err = v.access(ctx, strconv.FormatInt(enabled[0], 10))
	if err != nil {
		return version{}, v.explain(ctx, "read", err)
	}
	return found, nil
}

// number reads one version by its number; ok is false if it can't be read any
// more.
func (v *vault) number(ctx context.Context, number int64) (found version, ok bool, err error) {
	found, err = v.access(ctx, strconv.FormatInt(number, 10))
	if err != nil && isMissing(err) {
		return version{}, false, nil
	}
	if err != nil {
		return version{}, false, v.explain(ctx, "read", err)
	}
	return found, true, nil
}

// isMissing: there is no such version, or it is disabled or destroyed.
func isMissing(err error) bool {
	code := status.Code(err)
	return code == codes.NotFound || code == codes.FailedPrecondition
}

// access returns the service's error as it is.
func (v *vault) access(ctx context.Context, which string) (version, error) {
	answer, err := v.client.AccessSecretVersion(ctx, &secretmanagerpb.AccessSecretVersionRequest{
		Name: v.name() + "/versions/" + which,
	})
	if err != nil {
		return version{}, err
	}
	found := version{number: numberOf(answer.GetName()), payload: answer.GetPayload().GetData()}
	if answer.GetPayload().DataCrc32C != nil && answer.GetPayload().GetDataCrc32C() != checksum(found.payload) {
		return version{}, status.Error(codes.DataLoss, "checksum")
	}
	return found, nil
}

// add returns the number of the new version. After an error it is not known
// whether there is one, except after sdk.ErrRefused.
func (v *vault) add(ctx context.Context, payload []byte) (int64, error) {
	if len(payload) > maxPayload {
		return 0, fmt.Errorf("%w: %s: its JSON object would have %d bytes, and Secret Manager takes %d: "+
			"remove what other programs left in it", sdk.ErrRefused, v.settings, len(payload), maxPayload)
	}
	sum := checksum(payload)
	request := &secretmanagerpb.AddSecretVersionRequest{
		Parent:  v.name(),
		Payload: &secretmanagerpb.SecretPayload{Data: payload, DataCrc32C: &sum},
	}
	answer, err := v.client.AddSecretVersion(ctx, request)
	if status.Code(err) == codes.NotFound {
		if err := v.createSecret(ctx); err != nil {
			return 0, err
		}
		answer, err = v.client.AddSecretVersion(ctx, request)
	}
	if err != nil {
		return 0, v.explain(ctx, "add a version to", err)
	}
	number := numberOf(answer.GetName())
	if number == 0 || !answer.GetClientSpecifiedPayloadChecksum() {
		return 0, fmt.Errorf("%s: Secret Manager's answer does not prove that the new version arrived whole", v.settings)
	}
	return number, nil
}

func (v *vault) createSecret(ctx context.Context) error {
	if !v.create {
		return fmt.Errorf("%s does not exist: create it (gcloud secrets create %s --project %s), or set create: true",
			v.settings, v.secret, v.project)
	}
	_, err := v.client.CreateSecret(ctx, &secretmanagerpb.CreateSecretRequest{
		Parent: v.parent(), SecretId: v.secret,
		Secret: &secretmanagerpb.Secret{Replication: &secretmanagerpb.Replication{
			Replication: &secretmanagerpb.Replication_Automatic_{Automatic: &secretmanagerpb.Replication_Automatic{}},
		}},
	})
	switch status.Code(err) {
	case codes.OK, codes.AlreadyExists:
		return nil
	case codes.NotFound:
		return fmt.Errorf("there is no project %s: check the setting project", v.project)
	default:
		return v.explain(ctx, "create", err)
	}
}

// destroy ends a version for good. That it is gone already is no error.
func (v *vault) destroy(ctx context.Context, number int64) error {
	_, err := v.client.DestroySecretVersion(ctx, &secretmanagerpb.DestroySecretVersionRequest{Name: v.version(number)})
	if err != nil && !isMissing(err) {
		return v.explain(ctx, "destroy a version of", err)
	}
	return nil
}

// enabled returns the numbers of at most so many enabled versions, highest
// first.
func (v *vault) enabled(ctx context.Context, most int) ([]int64, error) {
	versions := v.client.ListSecretVersions(ctx, &secretmanagerpb.ListSecretVersionsRequest{
		Parent: v.name(), Filter: "state:ENABLED", PageSize: int32(most),
	})
	var numbers []int64
	for len(numbers) < most {
		one, err := versions.Next()
		if errors.Is(err, iterator.Done) {
			break
		}
		if status.Code(err) == codes.NotFound {
			return nil, nil
		}
		if err != nil {
			return nil, v.explain(ctx, "list the versions of", err)
		}
		if one.GetState() == secretmanagerpb.SecretVersion_ENABLED {
			numbers = append(numbers, numberOf(one.GetName()))
		}
	}
	// The service answers in this order.
	slices.SortFunc(numbers, func(a, b int64) int { return int(b - a) })
	return numbers, nil
}

// created is when a version was added, by the service's clock.
func (v *vault) created(ctx context.Context, number int64) (time.Time, error) {
	answer, err := v.client.GetSecretVersion(ctx, &secretmanagerpb.GetSecretVersionRequest{Name: v.version(number)})
	if err != nil {
		return time.Time{}, v.explain(ctx, "read", err)
	}
	return answer.GetCreateTime().AsTime(), nil
}

// exists says whether there is such a secret; it takes a permission that a
// delivery does not need.
func (v *vault) exists(ctx context.Context) (bool, error) {
	_, err := v.client.GetSecret(ctx, &secretmanagerpb.GetSecretRequest{Name: v.name()})
	if status.Code(err) == codes.NotFound {
		return false, nil
	}
	return err == nil, err
}

// permitted names the permissions that a delivery needs and that are missing.
func (v *vault) permitted(ctx context.Context) error {
	needed := []string{
		"secretmanager.versions.access", "secretmanager.versions.add",
		"secretmanager.versions.destroy", "secretmanager.versions.list",
	}
	answer, err := v.client.TestIamPermissions(ctx, &iampb.TestIamPermissionsRequest{
		Resource: v.name(), Permissions: slices.Clone(needed),
	})
	if err != nil {
		return v.explain(ctx, "ask for the permissions on", err)
	}
	missing := slices.DeleteFunc(needed, func(p string) bool { return slices.Contains(answer.GetPermissions(), p) })
	if len(missing) > 0 {
		return fmt.Errorf("%s: missing %v: %s", v.settings, missing, rolesNeeded)
	}
	return nil
}

// numberOf takes the number from a version's name. The service may name the
// project by its number, whatever it was asked by.
func numberOf(name string) int64 {
	number, err := strconv.ParseInt(path.Base(name), 10, 64)
	if err != nil {
		return 0
	}
	return number
}

func checksum(b []byte) int64 {
	return int64(crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}
